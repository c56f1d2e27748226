"""Speaks: HTTP and WebSocket towards the clients. Nobody but deploy, bench and tests imports it."""
