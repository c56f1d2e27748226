"""Models and what they need: learns from the market. Imports `market` only."""
