"""Identity: who may come in, how long, and as what. Knows nothing of trading."""
