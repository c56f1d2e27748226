"""A small server that speaks the OpenAI chat protocol over real HTTP; what it says is a script of the test."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

Json = dict[str, Any]
Script = Callable[[Json], "Json | tuple[int, bytes]"]
"""From a request to the message of the model, or to a status and a body."""

UNAVAILABLE: Final = (503, b'{"error":{"message":"no model is loaded"}}')


class LanguageServer(ThreadingHTTPServer):
    daemon_threads = True
    model: Final = "tiny"
    key: Final = "sk-test-0123456789abcdef"

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.script: Script = lambda _: UNAVAILABLE
        self.requests: list[Json] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def play(self, script: Script) -> None:
        self.script = script
        self.requests = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LanguageServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path != "/v1/chat/completions":
            self._answer(404, b"{}")
        elif self.headers["authorization"] != f"Bearer {self.server.key}":
            self._answer(401, b'{"error":{"message":"wrong key"}}')
        else:
            request = json.loads(body)
            self.server.requests.append(request)
            said = self.server.script(request)
            self._answer(*said) if isinstance(said, tuple) else self._answer(200, _completion(request, said))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _completion(request: Json, message: Json) -> bytes:
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": reason}
    answer = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": request["model"], "choices": [choice],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip
    return json.dumps(answer).encode()


def calls(*wanted: tuple[str, Json]) -> Json:
    """A message that asks for tools."""
    return {
        "tool_calls": [
            {"id": f"call_{k}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for k, (name, arguments) in enumerate(wanted)
        ]
    }


def results_in(request: Json) -> list[Any]:
    """What the tools told, as the model sees it."""
    return [json.loads(one["content"]) for one in request["messages"] if one["role"] == "tool"]


@contextmanager
def running_language_server(port: int = 0) -> Iterator[LanguageServer]:
    server = LanguageServer(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
