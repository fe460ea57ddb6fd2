"""What calls through the gateway cost, to the billionth of a dollar, and what keys may do: also for streams that break, and after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal

import anthropic
import openai
import pytest
import requests
from guarded_gateway import GuardedGateway
from mock_provider import script


@pytest.fixture(scope="module")
def guarded(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedGateway]:
    started = GuardedGateway(binary, tmp_path_factory.mktemp("guarded"))
    yield started
    started.stop()


@pytest.fixture
def key(guarded: GuardedGateway) -> dict:
    return guarded.key()


def openai_client(guarded: GuardedGateway, key: dict) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{guarded.url}/v1", api_key=key["key"], max_retries=0)


@pytest.fixture
def client(guarded: GuardedGateway, key: dict) -> Iterator[openai.OpenAI]:
    with openai_client(guarded, key) as opened:
        yield opened


@pytest.fixture
def claude(guarded: GuardedGateway, key: dict) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=guarded.url, api_key=key["key"], max_retries=0) as opened:
        yield opened


def user(said: str) -> list[dict]:
    return [{"role": "user", "content": said}]


def until(found: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def spent(guarded: GuardedGateway, key: dict) -> Decimal:
    until(lambda: guarded.used(key)["running"] == 0, "every call is settled")
    return Decimal(guarded.used(key)["dollars"]["total"])


def cost(input_tokens: int, cached: int, output: int) -> Decimal:
    """By the price of `chat`."""
    return Decimal(2_000 * (input_tokens - cached) + 200 * cached + 10_000 * output) / 1_000_000_000


def claude_cost(usage: anthropic.types.Usage) -> Decimal:
    """By the price of `claude`, whose input does not have what the cache read and took."""
    read, taken = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return Decimal(3_000 * usage.input_tokens + 300 * read + 3_750 * taken + 15_000 * usage.output_tokens) / 1_000_000_000


def test_a_whole_answer_costs_what_its_usage_says(guarded, client, key):
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=user(script("input=100,output=9,cached=40")))
    assert Decimal(raw.headers["x-shipway-cost"]) == cost(100, 40, 9) == spent(guarded, key)


def test_a_stream_costs_the_same_whether_its_usage_is_asked_for_or_not(guarded, client, key):
    asked = {"model": "chat", "messages": user(script("chunks=5,input=50,output=5")), "stream": True}
    list(client.chat.completions.create(**asked))
    assert spent(guarded, key) == cost(50, 0, 5)
    list(client.chat.completions.create(**asked, stream_options={"include_usage": True}))
    assert spent(guarded, key) == 2 * cost(50, 0, 5)


def test_responses_and_embeddings_are_charged(guarded, client, key):
    list(client.responses.create(model="chat", input=script("input=20,output=4"), stream=True))
    assert spent(guarded, key) == cost(20, 0, 4)
    embedded = client.embeddings.create(model="embed", input=["a", "b"])
    assert spent(guarded, key) == cost(20, 0, 4) + Decimal(500 * embedded.usage.prompt_tokens) / 1_000_000_000


def test_both_ways_of_counting_a_cache_are_right_and_counting_tokens_is_free(guarded, claude, key):
    claude.messages.count_tokens(model="claude", messages=user("hello"))
    assert spent(guarded, key) == 0
    asked = {"model": "claude", "max_tokens": 100, "messages": user(script("input=100,cached=40,cache_write=20,output=9"))}
    first = claude_cost(claude.messages.create(**asked).usage)
    assert spent(guarded, key) == first > 0
    with claude.messages.stream(**asked) as stream:
        usage = stream.get_final_message().usage
    assert spent(guarded, key) == first + claude_cost(usage)


@pytest.mark.parametrize("fault", ["cut:3", "reset:3", "half_frame:3", "error_frame:3"])
def test_a_stream_that_breaks_is_charged_what_was_written(guarded, client, key, fault):
    stream = client.chat.completions.create(model="chat", messages=user(script(f"chunks=8,fault={fault}")), stream=True)
    with pytest.raises(openai.APIError):
        list(stream)
    assert 0 < spent(guarded, key) < cost(1_000, 0, 1_000)


def test_a_client_that_leaves_is_charged_what_was_written(guarded, client, key):
    said = user(script("chunks=200,interval=50ms,input=10"))
    with closing(client.chat.completions.create(model="chat", messages=said, stream=True)) as stream:
        next(iter(stream))
    assert 0 < spent(guarded, key) < cost(100, 0, 200)


def test_errors_cost_nothing(guarded, client, key):
    for words in ["error=invalid", "status=429", "status=500"]:
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model="chat", messages=user(script(words)))
    assert spent(guarded, key) == 0 and guarded.used(key)["calls"] == 3


def test_two_hundred_calls_at_once_do_not_pass_a_budget(guarded):
    guarded.cli("llm", "groups", "put", "tight", "--kind", "project", "--budget", "0.02/total")
    key = guarded.key("--group", "tight")

    def call(client: openai.OpenAI) -> bool:
        try:
            client.chat.completions.create(model="chat", messages=user(script("input=10,output=90")), max_tokens=100)
        except openai.APIStatusError as refused:
            assert refused.status_code == 402, refused
            return False
        return True

    with openai_client(guarded, key) as client, ThreadPoolExecutor(32) as pool:
        answered = sum(pool.map(call, [client] * 200))
    assert answered > 1
    assert spent(guarded, key) == answered * cost(10, 0, 90) <= Decimal("0.02")
    [group] = [group for group in guarded.native("/llm/groups")["groups"] if group["name"] == "tight"]
    assert Decimal(group["used"]["dollars"]["total"]) == spent(guarded, key)


def test_limits_for_a_minute_are_told_in_the_words_of_each_api(guarded):
    key = guarded.key("--requests-per-minute", "2")
    with openai_client(guarded, key) as client:
        raw = client.chat.completions.with_raw_response.create(model="chat", messages=user("hello"))
        assert raw.headers["x-ratelimit-remaining-requests"] == "1"
    with anthropic.Anthropic(base_url=guarded.url, auth_token=key["key"], max_retries=0) as claude:
        asked = {"model": "claude", "max_tokens": 100, "messages": user("hello")}
        raw = claude.messages.with_raw_response.create(**asked)
        assert raw.headers["anthropic-ratelimit-requests-remaining"] == "0"
        with pytest.raises(anthropic.RateLimitError) as refused:
            claude.messages.create(**asked)
        assert int(refused.value.response.headers["retry-after"]) > 0


def test_a_key_opens_models_and_nothing_else_until_it_is_revoked(guarded, key):
    shown = {"authorization": f"Bearer {key['key']}"}
    for path in ["/api/v1/llm/keys", "/api/v1/jobs", "/api/v1/deployments", "/api/v1/status"]:
        assert requests.get(f"{guarded.url}{path}", headers=shown, timeout=30).status_code == 403, path
    assert requests.get(f"{guarded.url}/v1/models", headers=shown, timeout=30).status_code == 200
    assert requests.get(f"{guarded.url}/v1/models", timeout=30).status_code == 401
    with openai_client(guarded, key) as client:
        assert {model.id for model in client.models.list()} == {"chat", "embed", "claude"}
        rotated = guarded.cli("llm", "keys", "rotate", key["id"])
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    with openai_client(guarded, rotated) as client:
        assert client.chat.completions.create(model="chat", messages=user("hello")).choices
        guarded.cli("llm", "keys", "revoke", key["id"])
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="chat", messages=user("hello"))


def test_what_was_spent_survives_a_kill_and_every_call_is_a_row_of_the_table(guarded, client, key):
    for _ in range(3):
        client.chat.completions.create(model="chat", messages=user(script("input=10,output=5")))
    said = user(script("chunks=1000,interval=100ms"))
    running = client.chat.completions.create(model="chat", messages=said, max_tokens=100, stream=True)
    events = iter(running)
    # The fourth comes long after the call was entered into the ledger, which nobody waits for.
    for _ in range(4):
        next(events)
    guarded.server.kill()
    running.close()
    guarded.start()
    assert spent(guarded, key) >= 3 * cost(10, 0, 5) + cost(0, 0, 100)
    assert guarded.used(key)["calls"] == 4

    def rows() -> dict[str, list[int]]:
        sql = f"SELECT outcome, count(*) AS n, sum(cost_nanos) AS nanos FROM llm_calls WHERE key = '{key['id']}' GROUP BY outcome"
        answer = guarded.native_post("/sql", {"query": sql})
        return {row[0]: [int(row[1]), int(row[2])] for row in map(list, answer["rows"])}

    until(lambda: sum(count for count, _ in rows().values()) == 4, "every call is in the table")
    assert rows()["answered"][0] == 3 and rows()["lost"][0] == 1
    assert Decimal(sum(nanos for _, nanos in rows().values())) / 1_000_000_000 == spent(guarded, key)
