"""The client of the lane `tracking`, the same for every side: prepared requests of the MLflow wire over a kept-alive connection, and what they made."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from equality import Unequal
from live import raw
from server import Failed

API = "/api/2.0/mlflow"
START_MS = 1_700_000_000_000
TIMEOUT_SECONDS = 300.0


class Client:
    """One kept-alive connection that sends prepared bytes. An answer that is not 200 is an error."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> bytes:
        """The body of the answer, once it is here as a whole."""
        self._socket.sendall(request)
        answer = bytearray()
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._receive()
        head, body = bytes(answer[:end]).lower(), answer[end + 4 :]
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), None)
        if length is None:
            raise Failed(f"an answer without a length: {head.decode(errors='replace')}")
        while len(body) < length:
            body += self._receive()
        if not head.startswith(b"http/1.1 200"):
            raise Failed(f"{request[:200].decode(errors='replace')}: {head[:40].decode(errors='replace')} {body[:2000].decode(errors='replace')}")
        return bytes(body)

    def _receive(self) -> bytes:
        piece = self._socket.recv(1 << 18)
        if not piece:
            raise Failed("the server closed the connection")
        return piece

    def post(self, path: str, body: dict) -> dict:
        """Asks an endpoint of the tracking API; its answer."""
        return json.loads(self.ask(post(path, body)))

    def get(self, path: str, query: str) -> dict:
        """Asks an endpoint of the tracking API; its answer."""
        return json.loads(self.ask(raw("GET", f"{API}/{path}?{query}", b"")))


def post(path: str, body: dict) -> bytes:
    """The bytes of a request to an endpoint of the tracking API."""
    return raw("POST", f"{API}/{path}", json.dumps(body).encode())


def metric(key: str, value: float, step: int = 0) -> dict:
    """A metric as the wire writes it; its moment follows from its step."""
    return {"key": key, "value": value, "timestamp": START_MS + step, "step": step}


@dataclass(frozen=True)
class MadeRun:
    """The run number `number` of an experiment, with as many metrics and params: the same on every side and in every run of the lane."""

    number: int
    metrics: int
    params: int

    def create(self, experiment_id: str) -> dict:
        tags = [{"key": "mlflow.user", "value": "bench"}, {"key": "kind", "value": f"k{self.number % 7}"}]
        start = START_MS + self.number * 1000
        return {"experiment_id": experiment_id, "user_id": "bench", "run_name": f"run-{self.number}", "start_time": start, "tags": tags}

    def log(self, run_id: str) -> dict:
        # Values of a run are spread over [0, 1), differ between runs, and are the same numbers in binary as in decimal.
        metrics = [metric(f"m{index}", (self.number * 7919 + index * 104_729) % 65_536 / 65_536, 1) for index in range(self.metrics)]
        params = [{"key": f"p{index}", "value": f"v{(self.number + index) % 10}"} for index in range(self.params)]
        return {"run_id": run_id, "metrics": metrics, "params": params}

    def finish(self, run_id: str) -> dict:
        return {"run_id": run_id, "status": "FINISHED", "end_time": START_MS + self.number * 1000 + 500}

    def kept(self) -> dict:
        """What `comparable` makes of this run in an answer, once it is finished."""
        logged, finished = self.log(""), self.finish("")
        start = START_MS + self.number * 1000
        told = {"run_name": f"run-{self.number}", "status": "FINISHED", "start_time": start, "end_time": finished["end_time"]}
        tags = {"mlflow.user": "bench", "kind": f"k{self.number % 7}", "mlflow.runName": f"run-{self.number}"}
        metrics = {point["key"]: (point["value"], point["timestamp"], point["step"]) for point in logged["metrics"]}
        params = {pair["key"]: pair["value"] for pair in logged["params"]}
        return {**told, "user_id": "bench", "lifecycle_stage": "active", "metrics": metrics, "params": params, "tags": tags}


def new_experiment(port: int, name: str) -> str:
    """Creates an experiment; its id."""
    with Client(port) as client:
        return client.post("experiments/create", {"name": name})["experiment_id"]


def record(client: Client, experiment_id: str, run: MadeRun) -> str:
    """Three requests: the run is created, logged to, and finished. Its id."""
    run_id = client.post("runs/create", run.create(experiment_id))["run"]["info"]["run_id"]
    client.ask(post("runs/log-batch", run.log(run_id)))
    client.ask(post("runs/update", run.finish(run_id)))
    return run_id


def record_all(port: int, experiment_id: str, runs: Iterable[MadeRun], connections: int, seconds: float = float("inf")) -> tuple[int, float]:
    """Records runs over `connections` at once until there are no more, or the time is up; how many that were, and in how many seconds."""
    left, began = iter(runs), time.perf_counter()

    def work(_: int) -> int:
        done = 0
        with Client(port) as client:
            while time.perf_counter() - began < seconds and (run := next(left, None)) is not None:
                record(client, experiment_id, run)
                done += 1
        return done

    if connections == 1:
        done = work(0)
    else:
        # `next` of an iterator that is no generator is one step for the interpreter: two threads never get the same run.
        with ThreadPoolExecutor(connections) as pool:
            done = sum(pool.map(work, range(connections)))
    return done, time.perf_counter() - began


def history(port: int, run_id: str, key: str) -> list[dict]:
    """All points of a metric, over as many pages as the server wants."""
    found: list[dict] = []
    with Client(port) as client:
        for page in _pages(client, run_id, key):
            found += page
    return found


def _pages(client: Client, run_id: str, key: str) -> Iterator[list[dict]]:
    token = ""
    while True:
        answer = client.get("metrics/get-history", f"run_id={run_id}&metric_key={key}" + (f"&page_token={token}" if token else ""))
        yield answer.get("metrics", [])
        token = answer.get("next_page_token", "")
        if not token:
            return


def check_points(whose: str, found: list[dict], sent: list[dict]) -> None:
    """Fails the lane where a server does not hold each point that it was sent, once and in order."""
    points = [(point.get("step", 0), point["timestamp"], point["value"]) for point in found]
    expected = [(point["step"], point["timestamp"], point["value"]) for point in sent]
    if points != expected:
        wrong = next((pair for pair in zip(points, expected, strict=False) if pair[0] != pair[1]), None)
        raise Unequal(f"{whose}: {len(points)} points of {len(expected)} came back; the first that differs: {wrong}")


def comparable(run: dict) -> dict:
    """What must be the same on both sides of a run in an answer: all but its ids and the address of its artifacts."""
    info, data = run["info"], run["data"]
    told = {name: info.get(name) for name in ("run_name", "status", "start_time", "end_time", "user_id", "lifecycle_stage")}
    metrics = {point["key"]: (point["value"], point["timestamp"], point.get("step", 0)) for point in data.get("metrics", [])}
    pairs = {kind: {pair["key"]: pair["value"] for pair in data.get(kind, [])} for kind in ("params", "tags")}
    return {**told, "metrics": metrics, **pairs}


def check_same(whose: str, ours: list[dict], theirs: list[dict]) -> int:
    """Fails the lane where two answers hold other runs, or in another order; how many values were compared."""
    left, right = [comparable(run) for run in ours], [comparable(run) for run in theirs]
    if len(left) != len(right):
        raise Unequal(f"{whose}: {len(left)} runs, and {len(right)} of ours")
    for place, (one, other) in enumerate(zip(left, right, strict=True)):
        if one != other:
            differs = {name: (one[name], other[name]) for name in one if one[name] != other[name]}
            raise Unequal(f"{whose}: run {place} of the answer differs: {differs}")
    return sum(6 + len(run["metrics"]) * 3 + len(run["params"]) + len(run["tags"]) for run in left)
