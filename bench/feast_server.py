"""Feast's Python feature server on this box, with the same values in it as ours, checked before anything is timed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from equality import Unequal
from server import Failed
from setting import HERE, Setting
from shifted import Shifted

DEFINITIONS = HERE.parent / "demo" / "definitions"
SERVICE = "late_arrivals"
REPOSITORY = """project: bench
provider: local
registry: registry.db
online_store: { type: sqlite, path: online.db }
offline_store: { type: file }
entity_key_serialization_version: 3
"""


class FeastServer:
    """A `feast serve` with a worker for each thread that we get, ended with all its workers by `stop`."""

    def __init__(self, setting: Setting, python: Path, keys: dict[str, list[str]], ours: dict) -> None:
        self._repository = setting.out / "feast"
        self._repository.mkdir()
        (self._repository / "feature_store.yaml").write_text(REPOSITORY)
        values = self._repository / "values.json"
        values.write_text(json.dumps(_per_view(keys, ours)))
        environment = {**os.environ, "FEAST_USAGE": "False"}
        asked = {"repository": str(self._repository), "definitions": str(DEFINITIONS), "service": SERVICE, "values": str(values)}
        command = [str(python), str(HERE / "peers" / "feast_side.py"), json.dumps(asked)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)
        if done.returncode != 0:
            raise Failed(f"feast ended with {done.returncode}:\n{done.stderr[-4000:]}")
        said = json.loads(done.stdout.splitlines()[-1])
        self.version: str = said["version"]
        self.rows: int = said["rows"]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._log = (setting.out / "feast.log").open("w")
        serve = [
            *(str(python.parent / "feast"), "-c", str(self._repository), "serve", "--host", "127.0.0.1", "--port", str(self._port)),
            *("--no-access-log", "--workers", str(setting.threads), "--max-requests", "0", "--registry_ttl_sec", "600"),
        ]
        self._process = subprocess.Popen(serve, stdout=self._log, stderr=subprocess.STDOUT, env=environment, start_new_session=True)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.2)
        raise Failed(f"feast did not serve:\n{Path(self._log.name).read_text()[-4000:]}")

    def check(self, rows: list[dict], ours: dict) -> int:
        """Asks for every row and compares every feature with ours at the moment the values were taken; returns the cells."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        connection.request("POST", "/get-online-features", body(rows), {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise Failed(f"feast answered {response.status}: {answer}")
        columns = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))
        cells = 0
        for place, name in enumerate(ours["columns"]):
            if "__" not in name:
                continue
            for index, row in enumerate(ours["rows"]):
                theirs = columns[name]["values"][index]
                if theirs != row["values"][place]:
                    raise Unequal(f"{name} of {rows[index]}: ours {row['values'][place]}, feast {theirs}")
                cells += 1
        return cells

    def stop(self) -> None:
        """Ends the server and its workers: they share a process group that is theirs alone."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._log.close()


def body(rows: list[dict]) -> str:
    """A request to Feast for the whole service, with names like ours."""
    entities = {key: [row[key] for row in rows] for key in ("origin", "dest", "carrier", "tailnum")}
    return json.dumps({"feature_service": SERVICE, "entities": entities, "full_feature_names": True})


def _per_view(keys: dict[str, list[str]], ours: dict) -> dict[str, list[dict]]:
    """Our answer, view by view, one row per key."""
    found: dict[str, dict[tuple, dict]] = {view: {} for view in keys}
    for asked, answered in zip(ours["asked"], ours["rows"], strict=True):
        row = dict(zip(ours["columns"], answered["values"], strict=True))
        for view, names in keys.items():
            features = {name.removeprefix(f"{view}__"): value for name, value in row.items() if name.startswith(f"{view}__")}
            found[view][tuple(asked[name] for name in names)] = {**{name: asked[name] for name in names}, **features}
    return {view: list(rows.values()) for view, rows in found.items()}
