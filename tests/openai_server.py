"""A local server that speaks the OpenAI protocol: chat completions, streams, tool calls, embeddings and errors."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback_server import LoopbackServer, OwnedServer

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_exceeded",
    500: "server_error",
    503: "server_error",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answers to one request.

    Attributes
    ----------
    text
        Text of the answer, or of the error. A stream sends it word by word. None if there is none.
    status
        HTTP status. Any other than 200 is answered with an error in OpenAI's form.
    finish_reason
        Why the answer ended. None means ``tool_calls`` if there are any, otherwise ``stop``.
    refusal
        Text of the field in which a model explains why it refuses.
    tool_calls
        Number of calls of the tool ``look_up`` that the model asks for.
    model
        Name of the model that is reported. None means the requested model.
    first_token_s, end_s
        Seconds before the first token and before the end of the answer.
    breaks_after
        Number of pieces of a stream after which the connection is closed. None means that it ends as it should.
    """

    text: str | None = "The answer is forty-two."
    status: int = 200
    finish_reason: str | None = None
    refusal: str | None = None
    tool_calls: int = 0
    model: str | None = None
    prompt_tokens: int = 40
    completion_tokens: int = 11
    first_token_s: float = 0.0
    end_s: float = 0.0
    breaks_after: int | None = None


Choose = Callable[[dict[str, Any]], Answer]
"""Chooses the answer from the body of a request. It is called in the thread of the connection."""


class OpenAIServer(LoopbackServer):
    """Server on a free port of the loopback interface, in threads of this process.

    Parameters
    ----------
    choose
        Chooses the answer to each request.

    Attributes
    ----------
    url
        Base URL, for example for ``openai.OpenAI(base_url=...)``.
    requests
        Bodies of the requests so far.
    """

    def __init__(self, choose: Choose = lambda _body: Answer()) -> None:
        self.requests: list[dict[str, Any]] = []
        self._choose = choose
        super().__init__(_Connection, _Server)
        self.url = f"{self.address}/v1"

    def choose_answer(self, body: dict[str, Any]) -> Answer:
        """Note the request and return its answer."""
        self.requests.append(body)
        return self._choose(body)


class _Server(OwnedServer):
    owner: OpenAIServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent about connections that clients close."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.owner.choose_answer(body)
        model = answer.model or body.get("model")
        number = len(self.server.owner.requests)
        if answer.status != 200:
            time.sleep(answer.end_s)
            kind = ERROR_TYPES.get(answer.status, "server_error")
            self._send_json(answer.status, {"error": {"message": answer.text, "type": kind, "code": kind}})
        elif self.path.endswith("/embeddings"):
            self._send_json(200, _embeddings(body, answer, model))
        elif body.get("stream"):
            self._send_stream(answer, f"chatcmpl-{number}", model, body)
        else:
            time.sleep(answer.first_token_s + answer.end_s)
            self._send_json(200, _completion(answer, f"chatcmpl-{number}", model))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the standard library
        """Write no log."""

    def _send_json(self, status: int, content: dict[str, Any]) -> None:
        value = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(value)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(value)

    def _send_stream(self, answer: Answer, identifier: str, model: str, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        head = {"id": identifier, "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
        has_usage = (body.get("stream_options") or {}).get("include_usage", False)
        time.sleep(answer.first_token_s)
        for number, piece in enumerate(_pieces(answer, has_usage=has_usage)):
            if number == answer.breaks_after:
                self.close_connection = True
                return
            if piece.get("usage") is None and piece["choices"][0]["finish_reason"] is not None:
                time.sleep(answer.end_s)
            self._send_chunk(f"data: {json.dumps(head | piece)}\n\n".encode())
        self._send_chunk(b"data: [DONE]\n\n")
        self._send_chunk(b"")

    def _send_chunk(self, value: bytes) -> None:
        self.wfile.write(f"{len(value):x}\r\n".encode() + value + b"\r\n")
        self.wfile.flush()


def _finish_reason(answer: Answer) -> str:
    return answer.finish_reason or ("tool_calls" if answer.tool_calls else "stop")


def _tool_calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {"id": f"call-{number}", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "x"}'}}
        for number in range(answer.tool_calls)
    ]


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def _completion(answer: Answer, identifier: str, model: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": answer.refusal}
    if answer.tool_calls:
        message["tool_calls"] = _tool_calls(answer)
    return {
        "id": identifier,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": _finish_reason(answer), "logprobs": None}],
        "usage": _usage(answer),
    }


def _pieces(answer: Answer, *, has_usage: bool) -> Iterator[dict[str, Any]]:
    """Return the pieces of a stream: the role, the words, the tool calls, the end, and the usage if it is asked for."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word + " "} for word in (answer.text or "").split()]
    if answer.refusal is not None:
        deltas.append({"refusal": answer.refusal})
    deltas += [{"tool_calls": [{"index": number} | call]} for number, call in enumerate(_tool_calls(answer))]
    for delta in deltas:
        yield {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {"choices": [{"index": 0, "delta": {}, "finish_reason": _finish_reason(answer)}]}
    if has_usage:
        yield {"choices": [], "usage": _usage(answer)}


def _embeddings(body: dict[str, Any], answer: Answer, model: str) -> dict[str, Any]:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [{"object": "embedding", "index": number, "embedding": [0.5, -0.5, 0.25]} for number in range(len(inputs))]
    tokens = answer.prompt_tokens
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
