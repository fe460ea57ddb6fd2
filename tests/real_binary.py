"""Fixtures of the real binary, for every folder of Python tests: its conftest imports what it uses.

`binary` is the path in SHIPWAY_BINARY; `server` is one server for the session, on a free loopback port with a fresh
data folder; it may read the files in `allowed_folder`. With SHIPWAY_TEST_METADATA=postgresql its metadata are in a PostgreSQL of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "demo"))
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from private_postgres import Postgres, newest_installed  # noqa: E402
from server import Server  # noqa: E402

__all__ = ["ROOT", "Server", "allowed_folder", "binary", "data_dir", "onnx_library", "server", "server_url"]


def onnx_library() -> str:
    """ONNX Runtime's shared library in the installed package."""
    package = importlib.util.find_spec("onnxruntime")
    assert package and package.origin, "onnxruntime is not installed: run scripts/setup"
    return str(next((Path(package.origin).parent / "capi").glob("libonnxruntime.so.*")))


@pytest.fixture(scope="session")
def binary() -> str:
    named = os.environ.get("SHIPWAY_BINARY")
    assert named, "SHIPWAY_BINARY names no binary: run `make clients`"
    return named


@pytest.fixture(scope="session")
def server(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "in").mkdir()
    with pytest.MonkeyPatch.context() as environment, ExitStack() as running:
        environment.setenv("SHIPWAY_SOURCES__ALLOWED_FOLDERS", json.dumps([str(folder / "in")]))
        environment.setenv("SHIPWAY_RUNTIME__ONNX_LIBRARY", onnx_library())
        environment.setenv("SHIPWAY_RUNTIME__TRITON_METRICS", "true")
        if os.environ.get("SHIPWAY_TEST_METADATA") == "postgresql":
            programs = newest_installed()
            assert programs, "PostgreSQL is not installed: run scripts/setup"
            postgres = Postgres(programs)
            running.callback(postgres.stop)
            environment.setenv("SHIPWAY_METADATA__URL", postgres.create("clients"))
        started = Server(binary, folder / "data", folder / "server.log")
        environment.undo()
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
