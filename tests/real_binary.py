"""Fixtures of the real binary, for every folder of Python tests: its conftest imports what it uses.

`binary` is the path in SHIPWAY_BINARY; `server` is one server for the session, on a free loopback port with a fresh
data folder; it may read the files in `allowed_folder`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "demo"))
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from server import Server  # noqa: E402

__all__ = ["ROOT", "Server", "allowed_folder", "binary", "data_dir", "server", "server_url"]


@pytest.fixture(scope="session")
def binary() -> str:
    named = os.environ.get("SHIPWAY_BINARY")
    assert named, "SHIPWAY_BINARY names no binary: run `make clients`"
    return named


@pytest.fixture(scope="session")
def server(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "in").mkdir()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SHIPWAY_SOURCES__ALLOWED_FOLDERS", json.dumps([str(folder / "in")]))
        started = Server(binary, folder / "data", folder / "server.log")
    yield started
    started.stop()


@pytest.fixture(scope="session")
def server_url(server: Server) -> str:
    return server.url


@pytest.fixture(scope="session")
def allowed_folder(server: Server) -> Path:
    return server.data.parent / "in"


@pytest.fixture(scope="session")
def data_dir(server: Server) -> Path:
    return server.data
