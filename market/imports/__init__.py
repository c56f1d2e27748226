"""Market data of other programs, read as a stream into recorded entries or events. Pure: file objects come from outside."""
