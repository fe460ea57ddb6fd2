"""As little client as possible between two clocks: prepared bytes over a connection that stays open, answers whole or as streams."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass

from server import Failed

TIMEOUT_SECONDS = 60.0
CHUNK = b"\r\n"


@dataclass(frozen=True)
class Streamed:
    """A stream that came whole: when, from the sending of the request."""

    first_us: float
    whole_us: float
    #: The events' data, in order.
    data: list[bytes]


class GatewayConnection:
    """One connection, for one request after the other."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Taking from the front of a bytearray copies nothing.
        self._rest = bytearray()

    def __enter__(self) -> GatewayConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of an answer that says its length, or comes in chunks."""
        self._socket.sendall(request)
        head = self._until(b"\r\n\r\n")
        return head, b"".join(self._pieces(head))

    def stream(self, request: bytes) -> Streamed:
        """A stream of events, read to its end. An answer that is no stream, or one that is cut, fails."""
        began = time.perf_counter()
        self._socket.sendall(request)
        head = self._until(b"\r\n\r\n")
        first, pieces = 0.0, []
        for piece in self._pieces(head):
            first = first or time.perf_counter() - began
            pieces.append(piece)
        whole = time.perf_counter() - began
        body = b"".join(pieces)
        if not head.startswith(b"HTTP/1.1 200") or b"text/event-stream" not in head.lower():
            raise Failed(f"no stream: {(head + body)[:2000].decode(errors='replace')}")
        lines = body.replace(b"\r\n", b"\n").split(b"\n")
        return Streamed(first * 1e6, whole * 1e6, [line[5:].strip() for line in lines if line.startswith(b"data:")])

    def leave_after(self, request: bytes, frames: int) -> None:
        """Sends a request, reads so many pieces of its answer, and reads no further: the caller closes the connection."""
        self._socket.sendall(request)
        head = self._until(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise Failed(head.decode(errors="replace"))
        for _, _piece in zip(range(frames), self._pieces(head), strict=False):
            pass

    def _pieces(self, head: bytes):
        lower = head.lower()
        if b"transfer-encoding: chunked" not in lower:
            length = next((int(line.split(b":")[1]) for line in lower.split(b"\r\n") if line.startswith(b"content-length")), 0)
            yield self._exactly(length)
            return
        while True:
            size = int(self._until(CHUNK).split(b";")[0], 16)
            piece = self._exactly(size + len(CHUNK))[: -len(CHUNK)]
            if size == 0:
                return
            yield piece

    def _until(self, mark: bytes) -> bytes:
        while (place := self._rest.find(mark)) < 0:
            self._receive()
        return self._taken(place + len(mark))[: -len(mark)]

    def _exactly(self, length: int) -> bytes:
        while len(self._rest) < length:
            self._receive()
        return self._taken(length)

    def _taken(self, length: int) -> bytes:
        found = bytes(self._rest[:length])
        del self._rest[:length]
        return found

    def _receive(self) -> None:
        piece = self._socket.recv(1 << 18)
        if not piece:
            raise Failed("the server closed the connection")
        self._rest += piece


def prepared(path: str, headers: dict[str, str], body: dict) -> bytes:
    """The bytes of a request."""
    content = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


def prompt(kilobytes: int) -> str:
    """Words of so many thousand bytes. What is asked is the same for every side."""
    sentence = "the quick brown fox jumps over the lazy dog and says nothing about it; "
    return (sentence * (kilobytes * 1000 // len(sentence) + 1))[: kilobytes * 1000]
