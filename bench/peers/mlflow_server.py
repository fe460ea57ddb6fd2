"""The stock MLflow tracking server on this box, started as its documentation says, on SQLite or on PostgreSQL."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from server import Failed
from setting import HERE, Setting

REQUIRED = HERE / "mlflow-requirements.txt"
READY_WITHIN_SECONDS = 180.0
LOOKS_EVERY_SECONDS = 0.02


class MlflowServer:
    """An `mlflow server` that passes artifacts on itself, with a worker for each thread that we get.

    Its job runners are off: eight processes more, three times the memory, and half a minute of a core after each start, for jobs of
    evaluation that nobody here gives it.
    """

    VERSION = version("mlflow")

    def __init__(self, setting: Setting, name: str, database: str | None) -> None:
        self._folder = setting.out / f"mlflow-{name}"
        self._folder.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._log_path = setting.out / f"mlflow-{name}.log"
        if database:
            # The driver that MLflow's own documentation and images use.
            database = database.replace("postgresql://", "postgresql+psycopg2://", 1)
        self._command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", str(setting.threads)),
            *("--backend-store-uri", database or f"sqlite:///{self._folder / 'mlflow.db'}", "--artifacts-destination", str(self._folder / "artifacts")),
        ]
        self._environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "GIT_PYTHON_REFRESH": "quiet"}
        if database:
            self._environment["PYTHONPATH"] = str(_driver(setting.cache))
        self._process: subprocess.Popen | None = None

    @property
    def pid(self) -> int:
        """The process at the root of all of its processes."""
        if self._process is None:
            raise Failed("mlflow is not started")
        return self._process.pid

    def start(self) -> None:
        """Starts it; what it knows is kept from one start to the next. It need not be ready when this returns."""
        with self._log_path.open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, env=self._environment, cwd=self._folder, start_new_session=True
            )

    def check_alive(self) -> None:
        """Raises what it said when it has ended by itself."""
        if self._process is None or self._process.poll() is not None:
            raise Failed(f"mlflow ended:\n{self._log_path.read_text(errors='replace')[-4000:]}")

    def stop(self) -> None:
        """Ends it with all of its processes: they share a group that is theirs alone."""
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # what outlived its root
        except ProcessLookupError:
            pass
        self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Ends it and removes what it knows."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _driver(cache: Path) -> Path:
    """The folder with the driver of PostgreSQL, installed once; everything else that MLflow needs is where this program runs."""
    folder = cache / "bench-mlflow"
    stamp, digest = folder / ".stamp", hashlib.sha256(REQUIRED.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", str(folder)]
        subprocess.run([*command, "-r", str(REQUIRED)], check=True)
        stamp.write_text(digest)
    return folder
