"""Answers that are kept, as the unmodified `openai` and `anthropic` clients see them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anthropic
import openai
import pytest
from gateway_setup import Gateway, raw_post
from mock_provider import script

PRICE = "price: { input: 1, cached_input: 0.1, cache_write: 1.25, output: 10 }"
MODELS = f"""
kind: llm_model
name: kept
called: [gpt-kept]
cache: {{ time: 1h }}
deployments: [{{ provider: openai, model: kept-upstream, {PRICE} }}]
---
kind: llm_model
name: kept_claude
cache: {{ time: 1h, scope: organisation }}
deployments: [{{ provider: anthropic, model: kept-upstream, {PRICE} }}]
"""


@pytest.fixture(scope="module")
def keeping(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    gateway.apply(tmp_path_factory.mktemp("keeping"), MODELS)
    return gateway


@pytest.fixture
def client(keeping: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=keeping.openai, api_key=keeping.key, max_retries=0) as opened:
        yield opened


def user(said: str) -> list[dict]:
    return [{"role": "user", "content": said}]


def asked(gateway: Gateway) -> int:
    return gateway.mock.last()["number"]


def test_a_chat_is_answered_again_with_its_usage_and_costs_nothing(client, keeping):
    create = client.chat.completions.with_raw_response.create
    messages = user(script("input=100,output=9", "keep me"))
    first = create(model="kept", messages=messages, temperature=0)
    number = asked(keeping)
    again = create(model="gpt-kept", messages=messages, temperature=0, user="somebody")
    assert (first.headers["x-shipway-cache"], again.headers["x-shipway-cache"]) == ("miss", "hit")
    assert first.content == again.content and asked(keeping) == number
    assert (float(again.headers["x-shipway-cost"]), again.parse().usage.prompt_tokens) == (0, 100)
    other = create(model="kept", messages=messages, temperature=1)
    assert other.headers["x-shipway-cache"] == "miss"
    fresh = create(model="kept", messages=messages, temperature=0, extra_headers={"cache-control": "no-cache"})
    assert fresh.headers["x-shipway-cache"] == "bypass" and asked(keeping) == number + 2


@pytest.mark.parametrize("words", ["chunks=8", "chunks=8,crlf,comments", "tools=2,split=utf8", "multiline,usage=merged"])
def test_a_stream_is_given_again_byte_for_byte(keeping, words):
    body = json.dumps({"model": "kept", "messages": user(script(words, words)), "stream": True}).encode()
    headers = {"authorization": f"Bearer {keeping.key}"}
    first = raw_post(keeping.url, "/v1/chat/completions", body, headers)
    again = raw_post(keeping.url, "/v1/chat/completions", body, headers)
    assert (first.headers["x-shipway-cache"], again.headers["x-shipway-cache"]) == ("miss", "hit")
    assert first.body == again.body and first.headers["content-type"] == again.headers["content-type"]


def test_usage_of_a_kept_stream_comes_to_who_asks_for_it(client):
    messages = user(script("chunks=3,input=50,output=7", "usage of a stream"))
    plain = list(client.chat.completions.create(model="kept", messages=messages, stream=True))
    assert not any(chunk.usage for chunk in plain)
    for word in ("miss", "hit"):
        raw = client.chat.completions.with_raw_response.create(
            model="kept", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        assert [chunk.usage.completion_tokens for chunk in raw.parse() if chunk.usage] == [7]
        assert raw.headers["x-shipway-cache"] == word


@pytest.mark.parametrize("words", ["fault=cut:2", "fault=no_terminator", "fault=error_frame:2"])
def test_a_stream_that_breaks_is_not_kept(keeping, words):
    body = json.dumps({"model": "kept", "messages": user(script(f"chunks=6,{words}", words)), "stream": True}).encode()
    for _ in range(2):
        answer = raw_post(keeping.url, "/v1/chat/completions", body, {"authorization": f"Bearer {keeping.key}"})
        assert answer.headers["x-shipway-cache"] == "miss"


def test_responses_embeddings_and_messages_are_kept_too(client, keeping):
    first = client.responses.create(model="kept", input="a response that is kept")
    again = client.responses.with_raw_response.create(model="kept", input="a response that is kept")
    assert (again.headers["x-shipway-cache"], again.parse().id) == ("hit", first.id)
    client.embeddings.create(model="kept", input=["kept"])
    assert client.embeddings.with_raw_response.create(model="kept", input=["kept"]).headers["x-shipway-cache"] == "hit"
    with anthropic.Anthropic(base_url=keeping.url, api_key=keeping.key, max_retries=0) as claude:
        messages = {"model": "kept_claude", "max_tokens": 50, "messages": user("kept")}
        with claude.messages.stream(**messages) as stream:
            first = stream.get_final_message()
        raw = claude.messages.with_raw_response.create(**messages)
        assert raw.headers["x-shipway-cache"] == "miss"
        number = asked(keeping)
        with claude.messages.stream(**messages) as stream:
            assert stream.get_final_message() == first
        assert asked(keeping) == number


def test_keys_share_what_their_scope_says(keeping):
    create = []
    for name in ("kept one", "kept two"):
        with openai.OpenAI(base_url=keeping.openai, api_key=keeping.new_key(name), max_retries=0) as client:
            raw = client.chat.completions.with_raw_response.create(model="kept", messages=user("mine alone"))
            create.append(raw.headers["x-shipway-cache"])
    assert create == ["miss", "miss"]
