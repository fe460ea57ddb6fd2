"""The unmodified `openai` client calls models through the gateway: bytes, streams, errors, fallback, keys, money, kills."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import openai
import pytest
import requests
from gateway import OPERATOR, Gateway
from mock_provider import script


@pytest.fixture(scope="module")
def gateway(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    started = Gateway(binary, tmp_path_factory.mktemp("gateway"))
    yield started
    started.stop()


@pytest.fixture
def key(gateway: Gateway) -> dict:
    return gateway.key()


@pytest.fixture
def client(gateway: Gateway, key: dict) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key["key"], max_retries=0) as opened:
        yield opened


def user(said: str) -> list[dict]:
    return [{"role": "user", "content": said}]


def until(found: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def spent(gateway: Gateway, key: dict) -> Decimal:
    return Decimal(gateway.used(key)["dollars"]["total"])


def cost(input_tokens: int, cached: int, output: int) -> Decimal:
    return (Decimal(2) * (input_tokens - cached) + Decimal("0.2") * cached + Decimal(10) * output) / 1_000_000


def test_a_whole_answer_its_usage_and_its_cost(gateway, client, key):
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-mock", messages=user(script("input=100,output=9,cached=40"))
    )
    answer = raw.parse()
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (100, 9)
    assert raw.headers["x-shipway-model"] == "chat" and raw.headers["x-shipway-deployment"] == "first"
    assert Decimal(raw.headers["x-shipway-cost"]) == cost(100, 40, 9) == spent(gateway, key)
    arrived = gateway.mock.last()
    body = json.loads(gateway.mock.body(arrived["number"]))
    assert body["model"] == "up-first"
    assert key["key"] not in json.dumps(arrived)


def test_a_stream_hides_usage_that_nobody_asked_for_and_charges_it(gateway, client, key):
    asked = {"model": "gpt-mock", "messages": user(script("chunks=5,input=50,output=5")), "stream": True}
    quiet = list(client.chat.completions.create(**asked))
    assert all(chunk.usage is None and chunk.choices for chunk in quiet)
    assert [chunk.choices[0].finish_reason for chunk in quiet][-1] == "stop"
    assert spent(gateway, key) == cost(50, 0, 5)
    told = list(client.chat.completions.create(**asked, stream_options={"include_usage": True}))
    assert not told[-1].choices and told[-1].usage.completion_tokens == 5
    assert spent(gateway, key) == 2 * cost(50, 0, 5)


def test_tools_structured_output_and_images_pass_through(gateway, client):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
    answer = client.chat.completions.create(model="gpt-mock", messages=user(script("tools=2")), tools=tools)
    assert len(answer.choices[0].message.tool_calls) == 2
    direct = requests.post(
        f"{gateway.mock.url}/v1/chat/completions",
        json={"model": "up-first", "messages": user(script("tools=2")), "tools": tools},
        timeout=30,
    )
    through = requests.post(
        f"{gateway.url}/v1/chat/completions",
        data=direct.request.body.replace(b"up-first", b"gpt-mock"),
        headers={"authorization": f"Bearer {OPERATOR}", "content-type": "application/json"},
        timeout=30,
    )
    assert through.content == direct.content


def test_responses_completions_and_embeddings(gateway, client, key):
    response = client.responses.create(model="gpt-mock", input=script("input=20,output=4"))
    assert response.usage.output_tokens == 4 and response.output_text
    before = spent(gateway, key)
    events = list(client.responses.create(model="gpt-mock", input=script("input=20,output=4"), stream=True))
    assert events[-1].type == "response.completed"
    assert spent(gateway, key) - before == cost(20, 0, 4)
    assert client.completions.create(model="gpt-mock", prompt="hello").choices[0].text
    embedded = client.embeddings.create(model="embed", input=["a", "b"])
    assert len(embedded.data) == 2
    assert spent(gateway, key) > before + cost(20, 0, 4)


def test_models_are_those_of_the_key(gateway):
    narrow = gateway.key("--model", "chat")
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=narrow["key"], max_retries=0) as client:
        assert {model.id for model in client.models.list()} == {"chat", "gpt-mock"}
        assert client.models.retrieve("gpt-mock").id == "gpt-mock"
        with pytest.raises(openai.PermissionDeniedError):
            client.embeddings.create(model="embed", input="a")
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="nothing", messages=user("hello"))


def test_another_deployment_answers_where_one_fails_also_in_the_first_event_of_a_stream(gateway, client):
    gateway.mock.next("error=overloaded", model="up-first")
    raw = client.chat.completions.with_raw_response.create(model="gpt-mock", messages=user("hello"))
    assert raw.headers["x-shipway-deployment"] == "second" and raw.headers["x-shipway-attempts"] == "2"
    gateway.mock.next("fault=error_frame:0", model="up-first")
    raw = client.chat.completions.with_raw_response.create(model="gpt-mock", messages=user("hello"), stream=True)
    assert raw.headers["x-shipway-deployment"] == "second"
    assert [chunk.choices[0].finish_reason for chunk in raw.parse()][-1] == "stop"


def test_errors_of_the_call_come_as_the_provider_wrote_them(gateway, client):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="gpt-mock", messages=user(script("error=invalid")))
    for deployment in ["up-first", "up-second"]:
        gateway.mock.next("error=rate_limit,retry_after=7", model=deployment)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="gpt-mock", messages=user("hello"))
    assert refused.value.response.headers["retry-after"] == "7"
    for deployment in ["up-first", "up-second"]:
        gateway.mock.next("error=auth", model=deployment)
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="gpt-mock", messages=user("hello"))
    assert "credentials of the gateway" in str(refused.value)


@pytest.mark.parametrize("fault", ["cut:3", "reset:3", "half_frame:3"])
def test_a_stream_that_is_cut_raises_in_the_client_and_is_charged(gateway, client, key, fault):
    stream = client.chat.completions.create(model="gpt-mock", messages=user(script(f"chunks=8,fault={fault}")), stream=True)
    with pytest.raises(openai.APIError):
        list(stream)
    assert spent(gateway, key) > 0


def test_a_client_that_leaves_ends_the_request_to_the_provider(gateway, client, key):
    stream = client.chat.completions.create(
        model="gpt-mock", messages=user(script("chunks=200,interval=50ms,input=10")), stream=True
    )
    next(iter(stream))
    number = gateway.mock.mark()
    stream.close()
    left = gateway.mock.requests(ended=1, since=number - 1)[-1]
    assert left["outcome"] != "complete", left
    until(lambda: gateway.used(key)["running"] == 0, "it is settled")
    assert 0 < spent(gateway, key) < cost(10, 0, 200)


def test_a_wrong_key_is_refused_and_limits_hold(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="shipway_llm_0_0", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    slow = gateway.key("--requests-per-minute", "2")
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=slow["key"], max_retries=0) as client:
        for left in ["1", "0"]:
            raw = client.chat.completions.with_raw_response.create(model="gpt-mock", messages=user("hello"))
            assert raw.headers["x-ratelimit-remaining-requests"] == left
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="gpt-mock", messages=user("hello"))
    gateway.cli("llm", "keys", "revoke", slow["id"])
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=slow["key"], max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="gpt-mock", messages=user("hello"))


def test_a_key_of_models_opens_nothing_else(gateway, key):
    for path in ["/api/v1/llm/keys", "/api/v1/jobs", "/api/v1/definitions", "/api/v1/status"]:
        found = requests.get(f"{gateway.url}{path}", headers={"authorization": f"Bearer {key['key']}"}, timeout=30)
        assert found.status_code == 403, path


def test_two_hundred_calls_at_once_do_not_pass_a_budget(gateway):
    gateway.cli("llm", "groups", "put", "tight", "--kind", "project", "--budget", "0.02/total")
    key = gateway.key("--group", "tight")

    def call(client: openai.OpenAI) -> bool:
        try:
            client.chat.completions.create(model="gpt-mock", messages=user(script("input=10,output=90")), max_tokens=100)
        except openai.APIStatusError as refused:
            assert refused.status_code == 402, refused
            return False
        return True

    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key["key"], max_retries=0) as client:
        with ThreadPoolExecutor(32) as pool:
            answered = sum(pool.map(call, [client] * 200))
    assert answered > 1
    until(lambda: gateway.used(key)["running"] == 0, "all are settled")
    assert spent(gateway, key) == answered * cost(10, 0, 90)
    assert spent(gateway, key) <= Decimal("0.02")
    group = next(group for group in gateway.native("/llm/groups")["groups"] if group["name"] == "tight")
    assert Decimal(group["used"]["dollars"]["total"]) == spent(gateway, key)


def test_what_was_spent_survives_a_kill_and_every_call_is_a_row_of_the_table(gateway, client, key):
    for _ in range(3):
        client.chat.completions.create(model="gpt-mock", messages=user(script("input=10,output=5")))
    running = client.chat.completions.create(
        model="gpt-mock", messages=user(script("chunks=1000,interval=100ms")), max_tokens=100, stream=True
    )
    next(iter(running))
    # Entries are on disk within milliseconds of a call; the stream has begun since.
    time.sleep(0.5)
    gateway.server.kill()
    running.close()
    gateway.start()
    assert spent(gateway, key) >= 3 * cost(10, 0, 5) + cost(0, 0, 100)
    assert gateway.used(key)["running"] == 0 and gateway.used(key)["calls"] == 4

    def rows() -> list:
        sql = f"SELECT outcome, count(*) AS n, sum(cost_nanos) AS nanos FROM llm_calls WHERE key = '{key['id']}' GROUP BY outcome ORDER BY outcome"
        try:
            answer = gateway.cli("sql", sql)
        except Exception:
            return []
        return answer.get("rows", [])

    until(lambda: sum(row[1] for row in rows()) == 4, "every call is in the table")
    found = {row[0]: (row[1], row[2]) for row in rows()}
    assert found["answered"][0] == 3 and found["lost"][0] == 1
    assert Decimal(sum(nanos for _, nanos in found.values())) / 1_000_000_000 == spent(gateway, key)
