"""A small declarative layer over Starlette: endpoints in, one application with its documentation out."""

from serve.http.address import ClientAddresses
from serve.http.app import build_app
from serve.http.endpoint import Authenticator, Context, Endpoint, Handler

__all__ = ["Authenticator", "ClientAddresses", "Context", "Endpoint", "Handler", "build_app"]
