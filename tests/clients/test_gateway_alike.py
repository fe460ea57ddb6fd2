"""One answer for many, as the unmodified `openai` client sees it: who asks the same at once, and who asks about the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from gateway_setup import Gateway
from mock_provider import script

PRICE = "price: { input: 1, cached_input: 0.1, cache_write: 1.25, output: 10 }"
MODELS = f"""
kind: llm_model
name: at_once
cache: {{ time: 1h, together: true }}
deployments: [{{ provider: openai, model: at-once-upstream, {PRICE} }}]
---
kind: llm_model
name: alike
cache: {{ time: 1h, similar: {{ embeddings: embeddings, mode: serve, check: 0 }} }}
deployments: [{{ provider: openai, model: alike-upstream, {PRICE} }}]
---
kind: llm_model
name: watched
cache: {{ time: 1h, similar: {{ embeddings: embeddings }} }}
deployments: [{{ provider: openai, model: watched-upstream, {PRICE} }}]
"""


@pytest.fixture(scope="module")
def keeping(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    gateway.apply(tmp_path_factory.mktemp("alike"), MODELS)
    return gateway


@pytest.fixture
def client(keeping: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=keeping.openai, api_key=keeping.key, max_retries=0) as opened:
        yield opened


def user(said: str) -> list[dict]:
    return [{"role": "user", "content": said}]


def questions(gateway: Gateway) -> int:
    return gateway.server.cli("llm", "cache")["questions"]


def test_who_asks_the_same_at_once_gets_one_answer(client, keeping):
    messages = user(script("latency=700ms,input=10,output=3", "all of you"))
    client.chat.completions.create(model="at_once", messages=user("before all of you"))
    before = keeping.mock.last()["number"]

    def ask(_: int) -> tuple[str, bytes]:
        answer = client.chat.completions.with_raw_response.create(model="at_once", messages=messages)
        return answer.headers["x-shipway-cache"], answer.content

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))
    words = sorted(word for word, _ in answers)
    assert len({content for _, content in answers}) == 1
    assert words.count("miss") == 1 and words.count("together") >= 8, words
    assert keeping.mock.last()["number"] == before + 1


def test_the_same_words_are_about_the_same(client, keeping):
    create = client.chat.completions.with_raw_response.create
    before = questions(keeping)
    first = create(model="alike", messages=user("Which way to the harbour?"))
    until = time.monotonic() + 20
    while questions(keeping) == before:
        assert time.monotonic() < until, "the question was not kept"
        time.sleep(0.05)
    again = create(model="alike", messages=user("which way to the  harbour"))
    assert (first.headers["x-shipway-cache"], again.headers["x-shipway-cache"]) == ("miss", "similar")
    assert (again.headers["x-shipway-similarity"], float(again.headers["x-shipway-cost"])) == ("1.000", 0)
    assert first.content == again.content
    # The vectors of the mock have nothing to do with meaning: other words are another question.
    other = create(model="alike", messages=user("How do I come to the station?"))
    assert other.headers["x-shipway-cache"] == "miss"
    with client.chat.completions.create(model="alike", messages=user("Which way to the harbour?"), stream=True) as stream:
        assert stream.response.headers["x-shipway-cache"] == "miss", "a whole answer is no stream"


def test_what_was_measured_is_shown(client, keeping):
    for said in ("Is it open on Sundays?", "is it open on sundays"):
        before = questions(keeping)
        answer = client.chat.completions.with_raw_response.create(model="watched", messages=user(said))
        assert answer.headers["x-shipway-cache"] == "miss"
        until = time.monotonic() + 20
        while questions(keeping) == before:
            assert time.monotonic() < until, "the question was not kept"
            time.sleep(0.05)
    until = time.monotonic() + 20
    while True:
        listed = keeping.server.cli("llm", "cache")["models"]
        watched = next(model["similar"] for model in listed if model["model"] == "watched")
        if watched["from_least"]["same"] + watched["from_least"]["different"]:
            break
        assert time.monotonic() < until, "nothing was compared"
        time.sleep(0.05)
    assert (watched["mode"], watched["given"], watched["gives"]) == ("shadow", 0, False)
    (watched,) = (model for model in listed if model["model"] == "watched")
    assert keeping.server.cli("llm", "cache", "watched")["similar"]["steps"] == watched["similar"]["steps"]
