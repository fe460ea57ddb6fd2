"""A Flink of one node on loopback ports, out of its Python package: a job manager, a task manager, and a client that hands jobs to them."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import yaml
from kafka_broker import free_ports

from server import Failed
from setting import HERE, Setting, processor_seconds
from tools import Flink

READY_WITHIN_SECONDS = 120.0
TASK_MANAGER_MIB = 4096
JOB_MANAGER_MIB = 1024
# The engine's own name for what a source has handed on, one figure for each of its parts.
READ = re.compile(r"^\d+\.Source__.*\.numRecordsOut$")


class Cluster:
    """Everything in `folder`, which vanishes with it. Its processes end with `stop`."""

    def __init__(self, setting: Setting, flink: Flink, folder: Path) -> None:
        self._folder = folder
        self._home = flink.home
        self._processes: list[subprocess.Popen[bytes]] = []
        self._client: subprocess.Popen[str] | None = None
        self._files = ExitStack()
        self.port, rpc, blobs = free_ports(3)
        shutil.copytree(flink.home / "conf", folder / "conf")
        self.settings = _settings(setting, folder, self.port, rpc, blobs)
        known = yaml.safe_load((flink.home / "conf" / "config.yaml").read_text())
        (folder / "conf" / "config.yaml").write_text(yaml.safe_dump({**_flat(known), **self.settings}))
        try:
            # A task manager that finds no job manager tries again after ten seconds only.
            for script, sign in (("jobmanager.sh", "flink-version"), ("taskmanager.sh", "slots-available")):
                self._processes.append(self._start(script))
                self._wait(sign)
            self._client = self._open_client(flink, setting)
            self.version: str = self._told()["version"]
        except BaseException:
            self.stop()
            raise

    def start(self, name: str, tables: list[str], inserts: list[str]) -> str:
        """Starts a job; its id."""
        return self._hand({"name": name, "tables": tables, "inserts": inserts})["job"]

    def explain(self, name: str, tables: list[str], inserts: list[str]) -> str:
        """What the engine would do."""
        return self._hand({"name": name, "tables": tables, "inserts": inserts, "explain": True})["plan"]

    def processor_seconds(self) -> float:
        """Seconds of processor time of job manager and task manager; the client, which plans the queries, is not in it."""
        return sum(processor_seconds(process.pid) for process in self._processes)

    def ask(self, path: str, method: str = "GET") -> dict:
        """The cluster's own interface."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, "{}" if method == "POST" else None, {"content-type": "application/json"})
            response = connection.getresponse()
            body = response.read()
            if response.status not in (200, 202):
                raise Failed(f"Flink: {method} {path}: {response.status} {body.decode(errors='replace')[:2000]}")
            return json.loads(body) if body else {}
        finally:
            connection.close()

    def state(self, job: str) -> str:
        """The state of a job; `Failed` with its reason when it has failed."""
        state = self.ask(f"/jobs/{job}")["state"]
        if state in ("FAILED", "FAILING", "RESTARTING"):
            cause = self.ask(f"/jobs/{job}/exceptions")
            raise Failed(f"Flink's job is {state}:\n{json.dumps(cause)[:4000]}")
        return state

    def read_so_far(self, job: str) -> int:
        """How many events the sources of a job have handed on; a fraction of a second old."""
        read = 0
        for vertex in self.ask(f"/jobs/{job}")["vertices"]:
            path = f"/jobs/{job}/vertices/{vertex['id']}/metrics"
            names = [metric["id"] for metric in self.ask(path) if READ.match(metric["id"])]
            if names:
                values = self.ask(f"{path}?get={quote(','.join(names), safe='')}")
                read += sum(int(float(metric["value"])) for metric in values)
        return read

    def checkpoint(self, job: str) -> None:
        """Returns when a checkpoint that begins now is complete: states and positions are on the disk."""
        trigger = self.ask(f"/jobs/{job}/checkpoints", "POST")["request-id"]
        while True:
            status = self.ask(f"/jobs/{job}/checkpoints/{trigger}")
            if status["status"]["id"] == "COMPLETED":
                cause = status.get("operation", {}).get("failure-cause")
                if cause is not None:
                    raise Failed(f"Flink's checkpoint failed: {json.dumps(cause)[:2000]}")
                return
            self.state(job)
            time.sleep(0.01)

    def cancel(self, job: str) -> None:
        """Ends a job and waits until its slots are free."""
        self.ask(f"/jobs/{job}?mode=cancel", "PATCH")
        while self.ask(f"/jobs/{job}")["state"] not in ("CANCELED", "FINISHED", "FAILED"):
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends client, task manager and job manager, and removes what they wrote but their logs."""
        if self._client is not None:
            if self._client.stdin is not None:
                self._client.stdin.close()
            _end(self._client)
        for process in reversed(self._processes):
            _end(process)
        self._files.close()
        for part in ("conf", "state", "temporary"):
            shutil.rmtree(self._folder / part, ignore_errors=True)

    def _start(self, script: str) -> subprocess.Popen[bytes]:
        said = self._files.enter_context((self._folder / f"{script}.out").open("wb"))
        environment = {
            **os.environ,
            **{"FLINK_HOME": str(self._home), "FLINK_CONF_DIR": str(self._folder / "conf"), "FLINK_LOG_DIR": str(self._folder / "log")},
            **{"FLINK_PID_DIR": str(self._folder)},
        }
        # In the foreground the script becomes the Java machine, so that its id is the one that we know.
        command = ["bash", str(self._home / "bin" / script), "start-foreground"]
        return subprocess.Popen(command, cwd=self._folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)

    def _wait(self, sign: str) -> None:
        """Returns when `sign` is something in what the cluster says of itself."""
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            for process in self._processes:
                if process.poll() is not None:
                    raise Failed(f"Flink ended at once: {self._words()}")
            try:
                if self.ask("/overview").get(sign):
                    return
            except (OSError, Failed):
                pass
            time.sleep(0.2)
        raise Failed(f"Flink was not ready within two minutes: {self._words()}")

    def _open_client(self, flink: Flink, setting: Setting) -> subprocess.Popen[str]:
        settings = {
            **{"parallelism.default": str(setting.threads), "pipeline.object-reuse": "true", "table.exec.state.ttl": "7 d"},
            **{"execution.checkpointing.interval": "10 s", "execution.checkpointing.mode": "EXACTLY_ONCE"},
        }
        said = self._files.enter_context((self._folder / "client.out").open("wb"))
        command = [str(flink.python), str(HERE / "peers" / "flink_side.py"), json.dumps({"port": self.port, "settings": settings})]
        environment = {**os.environ, "FLINK_CONF_DIR": str(self._folder / "conf"), "FLINK_LOG_DIR": str(self._folder / "log")}
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)

    def _hand(self, job: dict) -> dict:
        if self._client is None or self._client.stdin is None:
            raise Failed("Flink's client is not there")
        self._client.stdin.write(json.dumps(job) + "\n")
        self._client.stdin.flush()
        return self._told()

    def _told(self) -> dict:
        line = self._client.stdout.readline() if self._client is not None and self._client.stdout is not None else ""
        if not line:
            raise Failed(f"Flink's client ended: {self._words()}")
        return json.loads(line)

    def _words(self) -> str:
        """The end of what each process said."""
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-3000:]}" for path in sorted(self._folder.glob("*.out")))


def _settings(setting: Setting, folder: Path, port: int, rpc: int, blobs: int) -> dict[str, str | int]:
    return {
        **{"jobmanager.rpc.address": "127.0.0.1", "jobmanager.bind-host": "127.0.0.1", "jobmanager.rpc.port": rpc, "blob.server.port": blobs},
        **{"taskmanager.host": "127.0.0.1", "taskmanager.bind-host": "127.0.0.1", "rest.address": "127.0.0.1", "rest.bind-address": "127.0.0.1"},
        **{"rest.port": port, "rest.bind-port": str(port), "taskmanager.numberOfTaskSlots": setting.threads},
        **{"jobmanager.memory.process.size": f"{JOB_MANAGER_MIB}m", "taskmanager.memory.process.size": f"{TASK_MANAGER_MIB}m"},
        **{"taskmanager.memory.jvm-metaspace.size": "512m", "state.backend.type": "hashmap", "execution.checkpointing.storage": "filesystem"},
        **{"execution.checkpointing.dir": f"file://{folder.resolve()}/state", "io.tmp.dirs": f"{folder.resolve()}/temporary"},
        **{"metrics.fetcher.update-interval": 100, "restart-strategy.type": "none"},
    }


def _flat(known: dict, before: str = "") -> dict:
    """Nested settings under their whole names."""
    found: dict = {}
    for key, value in (known or {}).items():
        name = f"{before}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
