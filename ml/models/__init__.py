"""Models: each kind fits a data set, forecasts rows, and is kept as JSON or UBJ."""
