"""Is a port free to listen on?"""

import socket

from deploy.errors import ServiceError


def must_be_free(host: str, port: int, flag: str) -> None:
    if problem := _why_not_free(host, port):
        raise ServiceError(f"cannot listen on {host}:{port}: {problem}. Choose another {flag}.")


def is_free(host: str, port: int) -> bool:
    return not _why_not_free(host, port)


def _why_not_free(host: str, port: int) -> str:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or type(error).__name__
    return ""
