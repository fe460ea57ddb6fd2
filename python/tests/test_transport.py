"""What happens when something goes wrong on the way: typed errors that say what to do, and retries only where safe."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from real_binary import Server

import shipway
from shipway.errors import (
    BrokenAnswer,
    Conflict,
    InvalidInput,
    NotFound,
    ServerTimeout,
    ServerUnreachable,
    Unauthenticated,
    Unavailable,
)


class Scripted(http.server.BaseHTTPRequestHandler):
    """Answers as the test says: a real server of HTTP that misbehaves on purpose."""

    protocol_version = "HTTP/1.1"
    script: list = []
    seen: list[tuple[str, str]] = []
    bodies: list[int] = []

    def do_POST(self) -> None:
        self.bodies.append(self.body())
        self.answer()

    def body(self) -> int:
        """Reads the body, and returns how long it was."""
        if self.headers["transfer-encoding"] != "chunked":
            return len(self.rfile.read(int(self.headers["content-length"] or 0)))
        length = 0
        while size := int(self.rfile.readline(), 16):
            length += len(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return length

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.seen.append((self.command, self.path))
        step = self.script.pop(0)
        if step == "break":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, kind, body = step
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def misbehaving() -> Iterator[tuple[shipway.Client, type[Scripted]]]:
    handler = type("Handler", (Scripted,), {"script": [], "seen": [], "bodies": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with shipway.Client(f"http://127.0.0.1:{server.server_port}", timeout=5, retries=2) as client:
        yield client, handler
    server.shutdown()
    thread.join()
    server.server_close()


def answer(body: object, status: int = 200) -> tuple[int, str, bytes]:
    kind = "application/json" if status == 200 else "application/problem+json"
    return status, kind, json.dumps(body).encode()


BUSY = answer({"detail": "too busy", "code": "store.busy"}, 503)
TABLES = answer({"tables": []})
SOURCE = {"kind": "source", "name": "s", "hash": "sha256:0", "definition": {"columns": [], "event_id": "id"}}
ACKNOWLEDGED = answer({"acknowledged": 1, "duplicates": 0, "quarantined": 0, "late": 0, "refused": [], "token": "t"})


def test_nobody_listens_and_the_error_says_what_to_do():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with shipway.Client(f"http://127.0.0.1:{port}", retries=0) as client, pytest.raises(ServerUnreachable) as caught:
        client.status()
    text = str(caught.value)
    assert text.startswith(f"error: no answer from http://127.0.0.1:{port}: ")
    assert "hint: start one with `shipway serve`" in text
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize("address", ["localhost:8700", "ftp://x", "8700", "http://"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InvalidInput, match="is not an address"):
        shipway.Client(address)


@pytest.mark.parametrize("trouble", [BUSY, "break"])
def test_a_question_is_asked_again_when_the_connection_breaks_or_the_server_is_busy(misbehaving, trouble):
    client, handler = misbehaving
    handler.script[:] = [trouble, TABLES]
    assert client.tables() == []
    assert len(handler.seen) == 2


def test_a_file_is_sent_whole_again_when_the_first_try_breaks(misbehaving, tmp_path):
    client, handler = misbehaving
    path = tmp_path / "t.csv"
    path.write_bytes(b"a\n" + b"1\n" * 500_000)
    loaded = {
        "table": "t",
        "load_id": "x",
        "rows": 1,
        "duplicates": 0,
        "already_loaded": False,
        "table_version": 1,
        "visible": True,
        "token": None,
    }
    handler.script[:] = [BUSY, answer(loaded)]
    assert client.load("t", path).rows == 1
    assert handler.bodies == [1_000_002, 1_000_002]


def test_a_question_is_not_asked_for_ever(misbehaving):
    client, handler = misbehaving
    handler.script[:] = [BUSY] * 3
    with pytest.raises(Unavailable) as caught:
        client.tables()
    assert (len(handler.seen), caught.value.code, caught.value.status) == (3, "store.busy", 503)


@pytest.mark.parametrize("trouble", [BUSY, "break"])
def test_what_is_not_safe_to_repeat_is_done_once(misbehaving, trouble):
    client, handler = misbehaving
    for act in (
        lambda: client.predict("d", {"a": 1}),
        lambda: client.apply(shipway.Definitions(shipway.Entity("e", keys={"a": "int"}))),
        lambda: client.training_set("s", "t", time="at").to_table("x"),
    ):
        handler.seen.clear()
        handler.script[:] = [trouble]
        with pytest.raises((Unavailable, ServerUnreachable)):
            act()
        assert len(handler.seen) == 1


@pytest.mark.parametrize(("event_id", "asked"), [("id", 2), (None, 1)])
def test_a_push_is_repeated_only_where_events_have_an_id(misbehaving, event_id, asked):
    client, handler = misbehaving
    definition = {**SOURCE, "definition": {"columns": [], "event_id": event_id}}
    handler.script[:] = [answer(definition), "break", ACKNOWLEDGED]
    if event_id:
        assert client.push("s", {"id": "a"}).acknowledged == 1
    else:
        with pytest.raises(ServerUnreachable):
            client.push("s", {"id": "a"})
    assert [path for _, path in handler.seen].count("/api/v1/ingest/s") == asked


def test_an_error_in_the_middle_of_a_push_says_how_far_it_came(misbehaving):
    client, handler = misbehaving
    handler.script[:] = [answer(SOURCE), ACKNOWLEDGED, answer({"detail": "no", "code": "a.b"}, 409)]
    with pytest.raises(Conflict, match="the first 1 rows are answered for"):
        client.push("s", [{"id": "a"}, {"id": "b"}], batch_rows=1)


def test_a_stranger_is_recognised(misbehaving):
    client, handler = misbehaving
    handler.script[:] = [(200, "text/html", b"<html>"), (200, "text/html", b"<html>")]
    with pytest.raises(BrokenAnswer, match="does not answer like a Shipway server"):
        client.status()
    with pytest.raises(BrokenAnswer, match="does not answer like a Shipway server"):
        client.sql("SELECT 1")


def test_an_arrow_stream_that_breaks_off_is_never_taken_for_the_whole(misbehaving):
    import pyarrow

    client, handler = misbehaving
    sink = pyarrow.BufferOutputStream()
    table = pyarrow.table({"a": list(range(1000))})
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    whole = sink.getvalue().to_pybytes()
    kind = "application/vnd.apache.arrow.stream"
    handler.script[:] = [(200, kind, whole), (200, kind, whole[: len(whole) // 2]), (200, kind, b"")]
    assert client.sql("SELECT 1").equals(table)
    for _ in range(2):
        with pytest.raises(BrokenAnswer):
            client.sql("SELECT 1")


def test_a_server_that_does_not_answer_in_time_is_not_asked_again():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with shipway.Client(f"http://127.0.0.1:{port}", timeout=0.2) as client, pytest.raises(ServerTimeout) as caught:
            client.status()
    assert "did not answer within 0.2 s" in str(caught.value)


def test_a_token_is_demanded_and_taken_from_the_environment(binary, tmp_path, monkeypatch):
    monkeypatch.setenv("SHIPWAY_TOKEN", "a-token-that-is-long-enough")
    server = Server(binary, tmp_path / "data", tmp_path / "server.log")
    try:
        with shipway.Client(server.url) as client:
            assert client.status().ready
        monkeypatch.delenv("SHIPWAY_TOKEN")
        with shipway.Client(server.url) as client, pytest.raises(Unauthenticated) as caught:
            client.status()
        assert caught.value.code == "web.no_credentials"
        with shipway.Client(server.url, token="wrong") as client, pytest.raises(Unauthenticated) as caught:
            client.status()
        assert caught.value.code == "web.wrong_credentials"
    finally:
        server.stop()


def test_a_problem_keeps_code_hint_and_status(client):
    with pytest.raises(NotFound) as caught:
        client.read("froud", {"user_id": "ada"})
    error = caught.value
    assert (error.code, error.status) == ("features.unknown_service", 404)
    assert str(error).startswith("error: service froud does not exist")
    assert isinstance(error, LookupError)


def test_a_closed_client_has_closed_its_connections(server_url):
    client = shipway.Client(server_url)
    client.status()
    client.close()
    with pytest.raises(RuntimeError):
        client.status()
