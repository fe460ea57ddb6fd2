from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import shipway
from real_binary import Server


@pytest.fixture
def lonely(binary: str, tmp_path: Path) -> Iterator[tuple[Server, shipway.Client]]:
    """A server that knows no broker."""
    server = Server(binary, tmp_path / "data", tmp_path / "server.log")
    with shipway.Client(server.url) as client:
        yield server, client
    server.stop()
