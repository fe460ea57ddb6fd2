"""The server of the demo and the two public ways in: the command line and HTTP."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
from pathlib import Path


class Failed(Exception):
    """A command or a request that did not succeed, with what it said."""


class Server:
    """A `shipway serve` on a free loopback port with a data folder of its own, under `configuration` if there is one; `environment` is added to ours."""

    READY_WITHIN_SECONDS = 60.0
    LOOKS_EVERY_SECONDS = 0.05

    def __init__(
        self, binary: str, data: Path, log: Path, environment: dict[str, str] | None = None, configuration: Path | None = None
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = data
        self._binary = binary
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [
                *(binary, "serve", "--data", str(data), "--listen", f"127.0.0.1:{self.port}"),
                *(("--configuration", str(configuration)) if configuration else ()),
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        self._log_path = log
        self.pid = self._process.pid
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise Failed(f"the server ended at once:\n{self._log_path.read_text()}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(self.LOOKS_EVERY_SECONDS)
        words = f"the server was not ready within {self.READY_WITHIN_SECONDS:.0f} seconds"
        raise Failed(f"{words}:\n{self.log()}")

    def log(self) -> str:
        """What the server said since it was started."""
        return self._log_path.read_text(errors="replace")

    def stop(self) -> None:
        """Ends the server the way an operator does, and waits for it."""
        self._process.terminate()
        try:
            code = self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise Failed("the server did not end within a minute of SIGTERM") from None
        finally:
            self._log.close()
        if code != 0:
            raise Failed(f"the server ended with {code}:\n{self._log_path.read_text()[-2000:]}")

    def kill(self) -> None:
        """Ends the server with SIGKILL: it gets to do nothing more."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def cli(self, *arguments: str, expect: tuple[int, ...] = (0,)) -> dict:
        """Runs `shipway ARGUMENTS --output json` and returns what it printed: the answer, or `error` and `code`."""
        command = [self._binary, *arguments, "--server", self.url, "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in expect:
            raise Failed(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr or done.stdout}")
        text = done.stdout.strip() or done.stderr.strip()
        return {"exit_code": done.returncode, **(json.loads(text) if text else {})}


class Connection:
    """One kept-alive HTTP connection to the server."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> dict:
        """Posts `body`; the answer as JSON, or `Failed` with the problem that came instead."""
        return self._ask("POST", path, body, {"content-type": content_type})

    def get(self, path: str) -> dict:
        """The answer as JSON, or `Failed` with the problem that came instead."""
        return self._ask("GET", path, None, {})

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> dict:
        self._connection.request(method, path, body=body, headers=headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise Failed(f"{method} {path}: {response.status} {content.decode(errors='replace')[:2000]}")
        return json.loads(content)
