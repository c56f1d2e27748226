"""The WebSocket API: `/ws/prices`, `/ws/orders`, `/ws/portfolio`. The contract is `serve/PROTOCOL.md`."""
