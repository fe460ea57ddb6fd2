"""The provider that is played: what its scripts do to bytes and time, its journal, its control paths, and how it ends."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zlib

import pytest
import requests
from mock_provider import MockProvider, program, script

CHAT = "/v1/chat/completions"


def body(words: str = "", **more) -> dict:
    return {"model": "gpt-mock", "messages": [{"role": "user", "content": script(words)}], **more}


def raw(url: str, request: bytes, *, reads: int | None = None) -> bytes:
    """Everything that comes back for bytes of one's own, up to the end of the connection or `reads` bytes."""
    host, port = url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request)
        while reads is None or len(received) < reads:
            try:
                more = connection.recv(65536)
            except ConnectionResetError:
                return received + b"<reset>"
            if not more:
                break
            received += more
    return received


def post(content: dict, path: str = CHAT, headers: str = "") -> bytes:
    payload = json.dumps(content).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: mock\r\ncontent-length: {len(payload)}\r\n{headers}\r\n"
    return head.encode() + payload


def pieces(answer: bytes) -> list[bytes]:
    """The chunks of a chunked body, as they were sent."""
    rest = answer.split(b"\r\n\r\n", 1)[1]
    found = []
    while rest:
        size, rest = rest.split(b"\r\n", 1)
        length = int(size, 16)
        if length == 0:
            return found
        found.append(rest[:length])
        rest = rest[length + 2 :]
    raise AssertionError("the body has no end")


def test_equal_requests_have_equal_answers(mock):
    asked = post(body("tools=0,chunks=3,unicode", stream=True), headers="connection: close\r\n")
    first, second = raw(mock.url, asked), raw(mock.url, asked)
    assert first.split(b"\r\n\r\n", 1)[1] == second.split(b"\r\n\r\n", 1)[1]
    third = raw(mock.url, post(body("tools=0,chunks=3,unicode,ids=unique", stream=True), headers="connection: close\r\n"))
    assert pieces(third)[0] != pieces(first)[0]


def test_frames_are_sent_as_the_script_says(mock):
    def sent(words: str) -> list[bytes]:
        return pieces(raw(mock.url, post(body(words, stream=True), headers="connection: close\r\n")))

    plain = sent("chunks=4,unicode")
    assert len(plain) == 7 and all(piece.startswith(b"data: ") and piece.endswith(b"\n\n") for piece in plain)
    assert plain[-1] == b"data: [DONE]\n\n"
    assert all(b"\r\n\r\n" in piece for piece in sent("chunks=4,crlf"))
    assert all(piece.startswith(b": keep-alive\n\n") for piece in sent("chunks=4,comments"))
    assert b"data: {\ndata:   \"id\"" in sent("chunks=4,multiline")[0]
    halves = sent("chunks=4,unicode,split=utf8")
    with pytest.raises(UnicodeDecodeError):
        [piece.decode() for piece in halves]
    assert b"".join(halves).decode().endswith("data: [DONE]\n\n")
    assert {len(piece) for piece in sent("chunks=4,split=7")[:9]} == {7}


def test_a_compressed_stream_can_be_read_frame_by_frame(mock):
    answer = raw(mock.url, post(body("gzip,chunks=3", stream=True), headers="connection: close\r\n"))
    assert b"content-encoding: gzip\r\n" in answer
    found = pieces(answer)
    unpack = zlib.decompressobj(31)
    assert all(unpack.decompress(piece).endswith(b"\n\n") for piece in found)
    assert gzip.decompress(b"".join(found)).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("fault", "whole_frames", "ended", "http_ends"),
    [
        ("cut:2", 2, "cut", False),
        ("half_frame:2", 2, "cut", False),
        ("end:2", 2, "complete", True),
        ("no_terminator", 6, "complete", True),
        ("no_finish", 6, "complete", True),
        ("error_frame:2", 3, "complete", True),
        ("empty", 0, "complete", True),
    ],
)
def test_faults_of_a_stream(mock, fault, whole_frames, ended, http_ends):
    answer = raw(mock.url, post(body(f"chunks=4,fault={fault}", stream=True), headers="connection: close\r\n"))
    assert answer.endswith(b"0\r\n\r\n") == http_ends
    assert answer.count(b"\n\n") == whole_frames
    assert mock.last()["sent"]["ended"] == ended
    assert (b'"finish_reason":"stop"' in answer) == (fault == "no_terminator")
    assert (b"[DONE]" in answer) == (fault == "no_finish")


def test_a_connection_may_end_without_a_word_or_with_a_reset(mock):
    assert raw(mock.url, post(body("fault=disconnect"))) == b""
    assert raw(mock.url, post(body("fault=reset:1", stream=True))).endswith(b"<reset>")


def test_a_whole_answer_is_cut_in_its_middle(mock):
    answer = raw(mock.url, post(body("fault=cut")))
    head, rest = answer.split(b"\r\n\r\n", 1)
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(rest) == length // 2


def test_silence_lasts_until_the_client_leaves(mock):
    asked = post(body("fault=stall:1", stream=True))
    head = raw(mock.url, asked, reads=200)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    sent = mock.last()["sent"]
    assert sent["ended"] == "client_left" and sent["frames"] == 1


def test_a_client_that_leaves_before_the_answer_is_seen(mock):
    with pytest.raises(requests.Timeout):
        requests.post(f"{mock.url}{CHAT}", json=body("latency=60s"), timeout=2)
    sent = mock.last()["sent"]
    assert sent["ended"] == "client_left" and sent["body_bytes"] == 0 and sent["took_us"] < 60_000_000


def test_what_is_no_answer_of_a_provider(mock):
    assert requests.post(f"{mock.url}{CHAT}", json=body("fault=empty"), timeout=30).content == b""
    with pytest.raises(requests.JSONDecodeError):
        requests.post(f"{mock.url}{CHAT}", json=body("fault=garbage"), timeout=30).json()
    page = requests.post(f"{mock.url}{CHAT}", json=body("fault=html,status=504"), timeout=30)
    assert page.status_code == 504 and page.headers["content-type"] == "text/html"


def test_a_script_comes_with_the_model_a_header_or_the_control_path(mock):
    def status(model: str = "gpt-mock", headers: dict | None = None) -> int:
        asked = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        return requests.post(f"{mock.url}{CHAT}", json=asked, headers=headers, timeout=30).status_code

    assert status("gpt-mock/status=503") == 503
    assert status("gpt-mock/status=503", {"x-mock-script": "status=529"}) == 529
    assert requests.post(f"{mock.url}{CHAT}", json=body(model="a/b/chunks=2"), timeout=30).json()["model"] == "a/b"
    mock.next("status=500", "", "status=401", model="gpt-queue")
    assert [status("gpt-queue") for _ in range(4)] == [500, 200, 401, 200]
    wrong = requests.post(f"{mock.url}{CHAT}", json=body("chunk=3"), timeout=30)
    assert wrong.status_code == 400 and "`chunk=3` is no word of a script" in wrong.text


def test_bodies_in_chunks_pipelines_and_bytes_that_are_no_request(mock):
    payload = json.dumps(body()).encode()
    half = len(payload) // 2
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (payload[:half], payload[half:]))
    head = f"POST {CHAT} HTTP/1.1\r\nhost: mock\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".encode()
    answer = raw(mock.url, head + chunked + b"0\r\nx-trailer: 1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert mock.body(mock.last()["number"]) == payload
    both = raw(mock.url, post(body()) + post(body(), headers="connection: close\r\n"))
    assert both.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert raw(mock.url, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert requests.post(f"{mock.url}{CHAT}", data=b"{", timeout=30).status_code == 400
    assert requests.post(f"{mock.url}/v1/nowhere", json={}, timeout=30).status_code == 404


def test_keys_rules_limits_and_failures_by_chance():
    rules = ["--rule", "model=gpt-rule:status=503", "--rule", "key=sk-b:text=slow"]
    one = MockProvider(program(), "--accept-keys", "sk-a,sk-b", *rules, "--script", "fail=30,seed=7", "--body-limit-bytes", "4096")
    try:

        def ask(model: str, key: str, said: str = "hello"):
            asked = {"model": model, "messages": [{"role": "user", "content": said}]}
            return requests.post(f"{one.url}{CHAT}", json=asked, headers={"authorization": f"Bearer {key}"}, timeout=30)

        assert ask("gpt-mock", "sk-none").status_code == 401
        assert ask("gpt-mock", "sk-b").json()["choices"][0]["message"]["content"] == "slow"
        statuses = [ask("gpt-rule", "sk-a").status_code for _ in range(200)]
        assert set(statuses) == {200, 503} and 30 <= statuses.count(503) <= 90
        assert ask("gpt-mock", "sk-a", "x" * 5000).status_code == 413
    finally:
        assert one.stop() == 0


def test_prepared_answers_are_made_once_for_each_model_script_and_kind():
    one = MockProvider(program(), "--prepared", "--journal", "0", "--accept-keys", "sk-a")
    try:

        def ask(said: str, **more) -> bytes:
            asked = {"messages": [{"role": "user", "content": said}], "model": "gpt-mock", **more}
            assert requests.post(f"{one.url}{CHAT}", json=asked, timeout=30).status_code == 401
            answer = requests.post(f"{one.url}{CHAT}", json=asked, headers={"x-api-key": "sk-a"}, timeout=30)
            assert answer.status_code == 200, answer.text
            return answer.content

        assert ask("hello") == ask("something else")
        stream = ask("hello", stream=True)
        assert stream.endswith(b"data: [DONE]\n\n") and b"usage" not in stream
        assert b"prompt_tokens" in ask("hello", stream=True, stream_options={"include_usage": True})
        assert len(ask("[[mock: chunks=200]]", stream=True)) > 10 * len(stream)
        assert one.requests() == [] and one.counters()["complete"] == 10 and one.counters()["errors"] == 5
    finally:
        assert one.stop() == 0


def test_the_journal_forgets():
    one = MockProvider(program(), "--journal", "2", "--keep-body-bytes", "300")
    try:
        for count in (1, 2, 500):
            requests.post(f"{one.url}{CHAT}", json=body(messages=[{"role": "user", "content": "x" * count}]), timeout=30)
        kept = one.requests(ended=2)
        assert [request["number"] for request in kept] == [2, 3]
        assert kept[0]["body"] and kept[1]["body"] is None and kept[1]["body_bytes"] > 500 and kept[1]["body_crc32"]
        one.forget()
        assert one.requests() == [] and one.counters()["requests"] == 0
    finally:
        assert one.stop() == 0


def test_it_ends_with_its_parent():
    starts = f"import subprocess; print(int(subprocess.Popen([{program()!r}], stdout=subprocess.PIPE).stdout.readline()), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", starts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        port = int(parent.stdout.readline())
        assert requests.get(f"http://127.0.0.1:{port}/_mock/health", timeout=30).json() == {"status": "ok"}
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            requests.get(f"http://127.0.0.1:{port}/_mock/health", timeout=30)
        except requests.ConnectionError:
            return
        time.sleep(0.02)
    pytest.fail("it outlived its parent")


def test_wrong_flags_are_refused():
    for flags, words in ((["--script", "odd"], "`odd` is no word of a script"), (["--rule", "gpt:status=1"], "--rule gpt:status=1")):
        done = subprocess.run([program(), *flags], capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 1 and words in done.stderr
