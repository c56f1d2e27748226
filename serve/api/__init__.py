"""The native REST API, one module per topic; each offers `endpoints(gateway) -> list[Endpoint]`."""
