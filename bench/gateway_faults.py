"""What a gateway makes of a provider that fails, and how soon the provider learns that the client has left."""

from __future__ import annotations

import socket
import time
from contextlib import closing

import openai

from gateway_check import Check, NotServed, Target, Wrong, expect, user
from gateway_sides import CHAT, DIRECT, TENSORZERO
from gateway_wire import prepared

#: Connections that end before the stream does.
BROKEN = ("cut:3", "half_frame:3", "reset:3")
FRAMINGS = ("crlf", "split=utf8,unicode", "split=3", "multiline", "comments")
GIVEN_UP_SECONDS = 8.0
CANCELLED_SECONDS = 1.0
LOOKED_SECONDS = 12.0


def _cut(target: Target, faults: tuple[str, ...]) -> str:
    taken_for_whole = []
    with target.openai() as client:
        for fault in faults:
            seen = 0
            try:
                for _ in client.chat.completions.create(model=target.side.chat, messages=user(f"chunks=12,fault={fault}"), stream=True):
                    seen += 1
                taken_for_whole.append(f"{fault} after {seen} chunks")
            except Exception:  # any error: the client knows
                continue
    expect(not taken_for_whole, f"ended as if whole: {', '.join(taken_for_whole)}")
    return f"{', '.join(faults)}: an error in the client"


def _in_words(target: Target) -> str:
    """The error is one of the API, in the stream, so that a client can tell it from a network that broke."""
    with target.openai() as client:
        try:
            list(client.chat.completions.create(model=target.side.chat, messages=user("chunks=12,fault=cut:3"), stream=True))
        except openai.APIError as raised:
            return f"{type(raised).__name__}: {str(raised)[:80]}"
        except Exception as raised:
            raise Wrong(f"{type(raised).__name__}: the connection broke, nothing was said") from raised
    raise Wrong("no error")


def _error_frame(target: Target) -> str:
    with target.openai() as client:
        try:
            list(client.chat.completions.create(model=target.side.chat, messages=user("chunks=12,fault=error_frame:3"), stream=True))
        except openai.APIError as raised:
            return f"{type(raised).__name__}"
    raise Wrong("the client saw no error")


def _fallback(target: Target, first: str) -> str:
    if target.name == DIRECT:
        raise NotServed("there is nothing to fall back to")
    mark = target.journal.mark()
    target.journal.next("spared-first", first)
    with target.openai() as client:
        chunks = list(client.chat.completions.create(model=target.model("spared"), messages=user(""), stream=True))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    asked = [request["model"] for request in target.journal.requests(since=mark)]
    expect(text.endswith("word7") and asked == ["spared-first", "spared-second"], f"the provider was asked for {asked}; the answer: {text}")
    return "the second deployment answered"


def _retry_after(target: Target) -> str:
    if target.name in (DIRECT, TENSORZERO):
        raise NotServed("it is not told to ask again" if target.name == DIRECT else "retries belong to variants of its functions, not to models")
    mark = target.journal.mark()
    target.journal.next("patient-upstream", "status=429,retry_after=1")
    with target.openai() as client:
        client.chat.completions.create(model=target.model("patient"), messages=user(""))
    arrived = [request["arrived_us"] / 1e6 for request in target.journal.requests(since=mark)]
    expect(len(arrived) == 2, f"{len(arrived)} requests")
    waited = arrived[1] - arrived[0]
    expect(0.95 <= waited <= 3, f"asked again after {waited:.2f} s; the provider asked for 1 s")
    return f"asked again after {waited:.2f} s"


def _given_up(target: Target, words: str) -> str:
    if target.name == DIRECT:
        raise NotServed("there is nobody to give it up")
    mark, began = target.journal.mark(), time.monotonic()
    with target.openai() as client:
        try:
            list(client.chat.completions.create(model=target.model("hasty"), messages=user(words), stream=True))
        except openai.APIError as raised:
            seconds = time.monotonic() - began
            expect(seconds < GIVEN_UP_SECONDS, f"given up after {seconds:.1f} s, with a limit of 2 s")
            ended = target.journal.requests(since=mark, ended=1)[0]["sent"]
            expect(ended and ended["ended"] == "client_left", f"the provider goes on: {ended}")
            return f"{type(raised).__name__} after {seconds:.1f} s, and the provider was told"
    raise Wrong("it ended as if whole")


def _framings(target: Target, framings: tuple[str, ...]) -> str:
    lost = []
    with target.openai() as client:
        for framing in framings:
            try:
                chunks = list(client.chat.completions.create(model=target.side.chat, messages=user(f"chunks=10,{framing}"), stream=True))
            except Exception as raised:
                lost.append(f"{framing}: {type(raised).__name__}")
                continue
            text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
            if not text.rstrip().endswith("word9") and "unicode" not in framing or "\ufffd" in text or len(text.split()) < 10:
                lost.append(f"{framing}: {text[-60:]}")
    expect(not lost, "; ".join(lost))
    return ", ".join(framings)


def _cancelled_stream(target: Target) -> str:
    mark = target.journal.mark()
    with target.openai() as client:
        stream = client.chat.completions.create(model=target.side.chat, messages=user("chunks=600,interval=20ms"), stream=True)
        with closing(stream):
            events = iter(stream)
            for _ in range(3):
                next(events)
            left = time.monotonic()
    return _learned(target, mark, left)


def _cancelled_whole(target: Target) -> str:
    mark = target.journal.mark()
    body = {"model": target.side.chat, "messages": user("latency=20s")}
    with socket.create_connection(("127.0.0.1", target.side.port)) as connection:
        connection.sendall(prepared(target.side.path(CHAT), target.side.headers, body))
        deadline = time.monotonic() + LOOKED_SECONDS
        while not target.journal.requests(since=mark):
            expect(time.monotonic() < deadline, "the provider was not asked")
            time.sleep(0.005)
        left = time.monotonic()
    return _learned(target, mark, left)


def _learned(target: Target, mark: int, left: float) -> str:
    while True:
        arrived = target.journal.requests(since=mark)
        seconds = time.monotonic() - left
        if arrived and arrived[0]["sent"]:
            ended = arrived[0]["sent"]["ended"]
            expect(ended == "client_left" and seconds <= CANCELLED_SECONDS, f"{ended} after {seconds * 1000:.0f} ms")
            return f"{seconds * 1000:.0f} ms"
        expect(seconds < LOOKED_SECONDS, f"the provider still worked after {LOOKED_SECONDS:.0f} s")
        time.sleep(0.002)


CHECKS: dict[str, Check] = {
    "a stream whose connection breaks is an error": lambda target: _cut(target, BROKEN),
    "a stream that ends early, cleanly, is an error": lambda target: _cut(target, ("end:3",)),
    "a stream that is cut ends in the words of the API": _in_words,
    "an error within a stream": _error_frame,
    "an error as the first event leads to another deployment": lambda target: _fallback(target, "fault=error_frame:0"),
    "a connection that breaks before the first event does": lambda target: _fallback(target, "fault=disconnect"),
    "429 with retry-after is asked again when it was said": _retry_after,
    "headers that do not come": lambda target: _given_up(target, "slow_headers=30s"),
    "a stream that stands still": lambda target: _given_up(target, "fault=stall:3"),
    "frames however they are cut": lambda target: _framings(target, FRAMINGS),
    "frames that a provider compresses, asked or not": lambda target: _framings(target, ("gzip",)),
    "who leaves a stream ends it at the provider": _cancelled_stream,
    "who leaves before the answer ends it at the provider": _cancelled_whole,
}
