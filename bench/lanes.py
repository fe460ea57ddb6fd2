"""The lanes: what is measured, against what, and that both sides did the same work."""

from __future__ import annotations

import json
import os
import socket
import statistics
import threading
import time
from pathlib import Path

import pandas as pd
import pyarrow as arrow
import pyarrow.parquet as parquet

import peer_duckdb
from flights import Periods, make_tables
from measure import Lane, in_turn
from server import Server

DEFINITIONS = Path(__file__).resolve().parent.parent / "demo" / "definitions"
KEYS = ["origin", "dest", "carrier", "tailnum", "month", "hour", "distance"]
REQUESTS = 2_000


class Bench:
    """A server that holds the whole year of flights, and the same files for the peers."""

    def __init__(self, server: Server, out: Path, runs: int) -> None:
        self._server = server
        self._out = out
        self._runs = runs
        self._history = out / "history"
        self._history.mkdir()
        self._tables = make_tables(Periods.whole_year())
        server.cli("apply", str(DEFINITIONS))
        for name in ("departures", "arrivals", "weather", "flights_to_score"):
            path = self._history / f"{name}.parquet"
            parquet.write_table(arrow.Table.from_pandas(getattr(self._tables, name), preserve_index=False), path)
            server.cli("table", "load", name, str(path))

    def training_set(self) -> Lane:
        """All rows of the spine, every feature of the demo: from the tables to a Parquet file."""
        ours, theirs = self._out / "ours.parquet", self._out / "theirs.parquet"
        peak = PeakMemory(self._server)

        def build() -> float:
            began = time.perf_counter()
            self._server.cli(
                *("features", "training-set", "late_arrivals", "--spine", "flights_to_score"),
                *("--time", "q", "--file", str(ours)),
            )
            return time.perf_counter() - began

        def duckdb() -> float:
            began = time.perf_counter()
            peer_duckdb.training_set(self._history, theirs, os.cpu_count() or 1)
            return time.perf_counter() - began

        with peak:
            seconds = in_turn(build, duckdb, self._runs)
        compared = _same_values(ours, theirs)
        rows = parquet.read_metadata(ours).num_rows
        note = f"{rows:,} rows, {compared} features equal on both sides, server peak {peak.mib:,.0f} MiB"
        return Lane("training set", "DuckDB, window functions", "s", True, *seconds, note)

    def online_read(self) -> Lane:
        """One row of ids to every feature of the service, against an empty handler of the same server."""
        read = _request("/api/v1/features/read", {"service": "late_arrivals", "rows": [self._row()]})
        return self._against_empty("online read, 1 row, 5 views", read)

    def predict(self) -> Lane:
        """One row of ids to a prediction, against an empty handler of the same server."""
        self._deploy()
        predict = _request("/api/v1/predict/late_arrivals", {"rows": [self._row()]})
        return self._against_empty("predict by ids, 1 row", predict)

    def ingest(self) -> Lane:
        """Events acknowledged after fsync, in batches of 1,000, against the bare disk: the same bytes, write and fdatasync."""
        lines = [
            json.dumps({"flight_id": f"bench{index}", "departed_at": "2014-01-02T12:00:00Z", "origin": "JFK", "dest": "LAX",
                        "carrier": "DL", "tailnum": f"N{index % 4000}", "dep_delay": float(index % 60)})
            for index in range(20_000)
        ]
        batches = ["\n".join(lines[start : start + 1000]).encode() for start in range(0, len(lines), 1000)]
        turn = iter(range(1_000_000))

        def ours() -> float:
            mark = f'"r{next(turn)}_'.encode()
            requests = [_raw("POST", "/api/v1/ingest/departures", batch.replace(b'"bench', mark), "application/x-ndjson") for batch in batches]
            connection = Connection(self._server)
            began = time.perf_counter()
            for request in requests:
                connection.ask(request)
            return len(lines) / (time.perf_counter() - began)

        def disk() -> float:
            with (self._out / "bare").open("wb") as bare:
                began = time.perf_counter()
                for batch in batches:
                    bare.write(batch)
                    bare.flush()
                    os.fdatasync(bare.fileno())
                return len(lines) / (time.perf_counter() - began)

        return Lane("ingest", "the bare disk", "events/s", False, *in_turn(ours, disk, self._runs), "1,000 a request, one client")

    def _against_empty(self, name: str, request: bytes) -> Lane:
        connection = Connection(self._server)
        empty = _raw("GET", "/healthz", b"")

        def median_of(asked: bytes) -> float:
            taken = []
            for _ in range(REQUESTS):
                began = time.perf_counter()
                connection.ask(asked)
                taken.append((time.perf_counter() - began) * 1e6)
            return statistics.median(taken)

        measured = in_turn(lambda: median_of(request), lambda: median_of(empty), self._runs)
        beyond = statistics.median(measured[0]) - statistics.median(measured[1])
        return Lane(name, "an empty handler", "us", True, *measured, f"{beyond:.0f} us beyond it, p50 of {REQUESTS:,} requests")

    def _row(self) -> dict:
        return json.loads(self._tables.flights_to_score[KEYS].iloc[-1:].to_json(orient="records"))[0]

    def _deploy(self) -> None:
        from train import Dataset, point_mlflow_at, train

        path = self._out / "ours.parquet"
        service_hash = parquet.read_metadata(path).metadata[b"shipway.service_hash"].decode()
        whole = Dataset.read("whole", path)
        small = Dataset("september_october", whole.frame.sample(40_000, random_state=7), whole.features)
        point_mlflow_at(self._server.url)
        candidate = train("features", small, small, small.features, service_hash)
        self._server.cli("models", "promote", "late_arrivals", str(candidate.version), "champion")
        self._server.cli("deploy", "late_arrivals", "--model", "late_arrivals", "--alias", "champion", "--service", "late_arrivals")


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
            raise RuntimeError(answer.decode(errors="replace"))
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        while len(body) < length:
            body += self._receive()
        return body

    def _receive(self) -> bytes:
        piece = self._socket.recv(1 << 16)
        if not piece:
            raise RuntimeError("the server closed the connection")
        return piece


class PeakMemory:
    """The most resident memory of the server while inside, sampled every 20 ms."""

    def __init__(self, server: Server) -> None:
        self._path = Path(f"/proc/{server.pid}/status")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.mib = 0.0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            for line in self._path.read_text().splitlines():
                if line.startswith("VmRSS"):
                    self.mib = max(self.mib, int(line.split()[1]) / 1024)


def _request(path: str, body: dict) -> bytes:
    return _raw("POST", path, json.dumps(body).encode())


def _raw(method: str, path: str, body: bytes, content_type: str = "application/json") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _same_values(ours: Path, theirs: Path) -> int:
    """Checks that both sides computed the same features, within float rounding; returns how many were compared."""
    left, right = parquet.read_table(ours).to_pandas(), parquet.read_table(theirs).to_pandas()
    features = [column for column in left.columns if "__" in column]
    for column in features:
        expected = right[column]
        if left[column].dtype == object:
            same = (left[column] == expected) | (left[column].isna() & expected.isna())
        else:
            gap = (left[column].astype("float64") - expected.astype("float64")).abs()
            same = (gap <= 1e-6 * expected.abs().clip(lower=1)) | (left[column].isna() & expected.isna())
        if not same.all():
            worst = pd.DataFrame({"ours": left[column], "theirs": expected})[~same].head(3)
            raise RuntimeError(f"{column} differs in {int((~same).sum())} rows:\n{worst}")
    return len(features)
