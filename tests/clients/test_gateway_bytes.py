"""Where client and provider speak the same, answers pass the gateway byte for byte; requests too, but for the model's name."""

from __future__ import annotations

import json

import pytest
from gateway_setup import SECRET, Gateway, raw_post
from mock_provider import WEATHER, script

CHAT, COMPLETIONS, RESPONSES, MESSAGES, EMBEDDINGS = (f"/v1/{name}" for name in ("chat/completions", "completions", "responses", "messages", "embeddings"))
OPENAI_TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]


def said(words: str) -> list[dict]:
    return [{"role": "user", "content": script(words)}]


ASKED = {
    "chat": (CHAT, {"model": "gpt-mock", "messages": said("unicode,cached=3")}),
    "several choices": (CHAT, {"model": "gpt-mock", "messages": said("unicode"), "n": 2}),
    "tools": (CHAT, {"model": "gpt-mock", "messages": said("tools=2,args=empty"), "tools": OPENAI_TOOLS}),
    "refusal": (CHAT, {"model": "gpt-mock", "messages": said("refusal")}),
    "thoughts": (CHAT, {"model": "gpt-mock", "messages": said("thinking=3")}),
    "completions": (COMPLETIONS, {"model": "gpt-mock", "prompt": script("unicode")}),
    "responses": (RESPONSES, {"model": "gpt-mock", "input": script("thinking=2"), "reasoning": {"effort": "low", "summary": "auto"}}),
    "messages": (MESSAGES, {"model": "claude-mock", "max_tokens": 100, "messages": said("unicode,thinking=2,cached=5")}),
    "many frames": (MESSAGES, {"model": "claude-mock", "max_tokens": 100, "messages": said("chunks=2000,unicode")}),
}
FRAMINGS = ["", "split=utf8", "split=3", "comments", "multiline", "pings"]


def headers(gateway: Gateway) -> dict[str, str]:
    return {"authorization": f"Bearer {gateway.key}"}


def through_and_direct(gateway: Gateway, path: str, asked: dict, framing: str = ""):
    """The answer through the gateway, and what the provider answers directly to the bytes that arrived there."""
    body = json.dumps(asked, ensure_ascii=False).replace("[[mock: ", f"[[mock: {framing} ").encode()
    through = raw_post(gateway.url, path, body, headers(gateway))
    arrived = gateway.mock.last()
    sent = gateway.mock.body(arrived["number"])
    return body, sent, through, raw_post(gateway.mock.url, path, sent, {"authorization": f"Bearer {SECRET}"})


@pytest.mark.parametrize("name", ASKED)
def test_an_answer_passes_byte_for_byte(gateway, name):
    path, asked = ASKED[name]
    body, sent, through, direct = through_and_direct(gateway, path, asked)
    assert (through.status, through.body) == (200, direct.body)
    assert through.headers["content-type"] == direct.headers["content-type"]
    named = asked["model"].encode()
    assert sent == body.replace(named, named.replace(b"mock", b"upstream"), 1)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("name", ASKED)
def test_a_stream_passes_byte_for_byte_to_who_asks_for_usage(gateway, name, framing):
    path, asked = ASKED[name]
    asked = {**asked, "stream": True}
    if path in (CHAT, COMPLETIONS):
        asked["stream_options"] = {"include_usage": True}
    body, sent, through, direct = through_and_direct(gateway, path, asked, framing)
    assert (through.status, through.body) == (200, direct.body)
    assert through.headers["content-type"] == direct.headers["content-type"]
    named = asked["model"].encode()
    assert sent == body.replace(named, named.replace(b"mock", b"upstream"), 1)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("framing", ["", "split=utf8", "multiline"])
def test_a_stream_lacks_nothing_but_the_usage_that_nobody_asked_for(gateway, path, framing):
    what = {"messages": said("unicode")} if path == CHAT else {"prompt": script("unicode")}
    _, _, through, direct = through_and_direct(gateway, path, {"model": "gpt-mock", "stream": True, **what}, framing)
    frames = direct.frames()
    assert b"prompt_tokens" in frames[-2] and frames[-1] == b"data: [DONE]\n\n"
    assert through.body == b"".join([*frames[:-2], frames[-1]])


def test_usage_beside_a_choice_is_not_taken_away(gateway):
    """A frame that says something besides usage passes as it is."""
    _, _, through, direct = through_and_direct(gateway, CHAT, {"model": "gpt-mock", "stream": True, "messages": said("usage=merged")})
    assert through.body == direct.body


def test_what_a_client_wrote_oddly_arrives_as_it_was_written(gateway):
    body = '{ "messages" : [ {"role":"user","content":"a\\u00e9\\/b é"} ],\n\t"temperature": 1.0e0, "zz": 12345678901234567890,  "model":"gpt-mock" }'
    assert raw_post(gateway.url, CHAT, body.encode(), headers(gateway)).status == 200
    assert gateway.mock.body(gateway.mock.last()["number"]).decode() == body.replace("gpt-mock", "gpt-upstream")


def test_embeddings_pass_byte_for_byte(gateway):
    asked = {"model": "embed-mock", "input": ["a", "b"], "encoding_format": "base64"}
    _, _, through, direct = through_and_direct(gateway, EMBEDDINGS, asked)
    assert (through.status, through.body) == (200, direct.body)


@pytest.mark.parametrize("words", ["error=invalid", "error=context", "error=content_policy", "status=429,retry_after=3"])
def test_an_error_about_the_request_passes_byte_for_byte(gateway, words):
    _, _, through, direct = through_and_direct(gateway, CHAT, {"model": "gpt-mock", "messages": said(words)})
    assert (through.status, through.body) == (direct.status, direct.body)


def test_a_provider_that_compresses_unasked_is_understood(gateway):
    """Nobody asked for it, so whoever does it is read, and the client gets plain bytes."""
    asked = {"model": "gpt-mock", "messages": said("gzip,chunks=4"), "stream": True}
    through = raw_post(gateway.url, CHAT, json.dumps(asked).encode(), headers(gateway))
    assert (through.status, through.headers.get("content-encoding")) == (200, None)
    assert through.body.endswith(b"data: [DONE]\n\n")
