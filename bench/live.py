"""One client at a time: predictions by ids, against an empty handler, and acknowledged events, against the bare disk."""

from __future__ import annotations

import json
import os
import socket
import statistics
import time
from pathlib import Path

import pyarrow.parquet as parquet

from measure import Lane, Sample, in_turn
from server import Failed, Server
from setting import Setting
from shifted import KEYS

REQUESTS = 2_000
EVENTS = 20_000


def predict(setting: Setting, server: Server, training_set: Path) -> Lane:
    """One row of ids to a prediction, against an empty handler of the same server."""
    deploy(server, training_set)
    row = json.loads(parquet.read_table(training_set, columns=KEYS).to_pandas().iloc[-1:].to_json(orient="records"))[0]
    connection = Connection(server)
    asked = raw("POST", "/api/v1/predict/late_arrivals", json.dumps({"rows": [row]}).encode())
    empty = raw("GET", "/healthz", b"")

    def median_of(request: bytes) -> Sample:
        taken = []
        for _ in range(REQUESTS):
            began = time.perf_counter()
            connection.ask(request)
            taken.append((time.perf_counter() - began) * 1e6)
        return Sample(statistics.median(taken))

    sides = in_turn({"Shipway": lambda: median_of(asked), "an empty handler of the same server": lambda: median_of(empty)}, setting.runs)
    beyond = sides[0].median() - sides[1].median()
    return Lane("predict by ids, 1 row, 300 trees", "us", True, sides, [f"{beyond:.0f} us beyond it; p50 of {REQUESTS:,} requests, one client"])


def ingest(setting: Setting, server: Server) -> Lane:
    """Events acknowledged after fsync, in batches of 1,000, against the bare disk: the same bytes, write and fdatasync."""
    event = {"departed_at": "2014-01-02T12:00:00Z", "origin": "JFK", "dest": "LAX", "carrier": "DL"}
    lines = [
        json.dumps({"flight_id": f"bench{index}", **event, "tailnum": f"N{index % 4000}", "dep_delay": float(index % 60)}) for index in range(EVENTS)
    ]
    batches = ["\n".join(lines[start : start + 1000]).encode() for start in range(0, EVENTS, 1000)]
    turns = iter(range(1_000_000))

    def ours() -> Sample:
        mark = f'"r{next(turns)}_'.encode()
        requests = [raw("POST", "/api/v1/ingest/departures", batch.replace(b'"bench', mark), "application/x-ndjson") for batch in batches]
        connection = Connection(server)
        began = time.perf_counter()
        answers = [connection.ask(request) for request in requests]
        seconds = time.perf_counter() - began
        counted = [json.loads(answer) for answer in answers]
        new = sum(answer["acknowledged"] - answer["duplicates"] for answer in counted)
        if new != EVENTS or any(answer["refused"] or answer["quarantined"] for answer in counted):
            raise Failed(f"{new} of {EVENTS} events were new and taken: {counted[0]}")
        return Sample(EVENTS / seconds)

    def disk() -> Sample:
        with (setting.out / "bare").open("wb") as bare:
            began = time.perf_counter()
            for batch in batches:
                bare.write(batch)
                bare.flush()
                os.fdatasync(bare.fileno())
            return Sample(EVENTS / (time.perf_counter() - began))

    sides = in_turn({"Shipway": ours, "the bare disk": disk}, setting.runs)
    return Lane("ingest", "events/s", False, sides, ["1,000 events a request, one client, acknowledged after fsync; the disk: the same bytes, write and fdatasync"])


def deploy(server: Server, training_set: Path) -> None:
    """Trains the demo's model on a training set, and serves it under `late_arrivals`."""
    from train import Dataset, point_mlflow_at, train

    service_hash = parquet.read_metadata(training_set).metadata[b"shipway.service_hash"].decode()
    whole = Dataset.read("whole", training_set)
    small = Dataset("september_october", whole.frame.sample(40_000, random_state=7), whole.features)
    point_mlflow_at(server.url)
    candidate = train("features", small, small, small.features, service_hash)
    server.cli("models", "promote", "late_arrivals", str(candidate.version), "champion")
    server.cli("deploy", "late_arrivals", "--model", "late_arrivals", "--alias", "champion", "--service", "late_arrivals")


class Connection:
    """A kept-alive connection that sends prepared bytes: as little client as possible between two clocks."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise Failed(answer.decode(errors="replace"))
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        while len(body) < length:
            body += self._receive()
        return body

    def _receive(self) -> bytes:
        piece = self._socket.recv(1 << 16)
        if not piece:
            raise Failed("the server closed the connection")
        return piece


def raw(method: str, path: str, body: bytes, content_type: str = "application/json") -> bytes:
    """The bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body
