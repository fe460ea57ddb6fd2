"""What the tests of streams and of sinks share: a server that knows no broker, and waiting until something that it shows is so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import shipway
from real_binary import Server

WITHIN_SECONDS = 60.0


@pytest.fixture
def lonely(binary: str, tmp_path: Path) -> Iterator[tuple[Server, shipway.Client]]:
    """A server that knows no broker."""
    server = Server(binary, tmp_path / "data", tmp_path / "server.log")
    with shipway.Client(server.url) as client:
        yield server, client
    server.stop()


def first_becomes(ask: Callable[[], Sequence[Any]], holds: Callable[[Any], Any]) -> Any:
    """The first of what is answered, as soon as it is as wanted."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not holds(first := ask()[0]):
        assert time.monotonic() < deadline, first._repr_html_()
        time.sleep(0.05)
    return first
