"""Where calls go: strategies, detours, hedges and wishes, seen by unmodified clients through the real binary."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import requests
from mock_provider import MockProvider, program, script
from real_binary import Server

PATIENT = "retries: { rate_limit: 0, overloaded: 0, connection: 0, timeout: 0 }\ncooldown: { failures: 1000, pause: 1s }"
PRICE = "price: { input: 1, cached_input: 0.1, output: 10, as_of: 2026-11-01 }"
MODELS = f"""
kind: llm_model
name: fastest
deployments:
  - {{ name: slow, provider: one, model: slow/latency=700ms, {PRICE} }}
  - {{ name: fast, provider: two, model: fast-up, {PRICE} }}
route: {{ latency: [slow, fast] }}
{PATIENT}
---
kind: llm_model
name: judged
deployments:
  - {{ name: small, provider: one, model: judged-small, {PRICE} }}
  - {{ name: large, provider: one, model: judged-large, price: {{ input: 3, output: 15 }} }}
  - {{ name: cheap, provider: two, model: judged-cheap, price: {{ input: 0.1, output: 0.4 }} }}
route:
  conditional:
    when:
      - {{ if: "tags.tier == 'gold' || tools", to: large }}
      - {{ if: stream && max_tokens > 500, to: {{ cost: [small, large, cheap] }} }}
    otherwise: {{ fallback: [small, cheap] }}
on_context_window: large
on_content_policy: cheap
{PATIENT}
---
kind: llm_model
name: kept
deployments:
  - {{ name: a, provider: claude, model: kept-a, {PRICE} }}
  - {{ name: b, provider: claude, model: kept-b, {PRICE} }}
  - {{ name: c, provider: claude, model: kept-c, {PRICE} }}
route: {{ sticky: {{ by: session, within: [a, b, c] }} }}
{PATIENT}
---
kind: llm_model
name: hedged
deployments:
  - {{ name: late, provider: one, model: late/latency=20s, {PRICE} }}
  - {{ name: soon, provider: two, model: soon-up, {PRICE} }}
route: late
hedge: {{ after: 100ms, to: soon }}
{PATIENT}
---
kind: llm_model
name: tiered
deployments:
  - provider: one
    model: tiered-up
    price:
      {{ input: 1, cached_input: 0.1, output: 10, reasoning: 8, as_of: 2026-10-01,
        tiers: [{{ above: 1000, input: 2, cached_input: 0.2, output: 15 }}], service_tiers: {{ flex: 0.5 }} }}
{PATIENT}
"""


class Routed:
    """A server with its providers, and what its table of calls says."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary, self.folder = binary, folder
        self.mock = MockProvider(program())
        environment = {}
        for name, kind in [("ONE", "openai"), ("TWO", "openai"), ("CLAUDE", "anthropic")]:
            environment[f"SHIPWAY_PROVIDERS__{name}__KIND"] = kind
            environment[f"SHIPWAY_PROVIDERS__{name}__BASE_URL"] = f"{self.mock.url}/v1"
        self.server = Server(binary, folder / "data", folder / "server.log", environment)
        self.models = folder / "models.yaml"
        self.models.write_text(MODELS, encoding="utf-8")
        self.server.cli("apply", str(self.models))

    def call(self, number: str) -> dict[str, Any]:
        """The row of a call, once it is in the table."""
        deadline = time.monotonic() + 30
        while True:
            query = {"query": f"SELECT * FROM llm_calls WHERE call = '{number}'"}
            found = requests.post(f"{self.server.url}/api/v1/sql", json=query, timeout=30)
            if found.status_code == 200 and found.json()["rows"]:
                answer = found.json()
                row = answer["rows"][0]
                if isinstance(row, list):
                    names = [column["name"] if isinstance(column, dict) else column for column in answer["columns"]]
                    row = dict(zip(names, row, strict=True))
                row["attempts"] = json.loads(row["attempts"])
                return row
            assert time.monotonic() < deadline, found.text
            time.sleep(0.1)

    def stop(self) -> None:
        self.server.stop()
        assert self.mock.stop() == 0


@pytest.fixture(scope="module")
def routed(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routed]:
    started = Routed(binary, tmp_path_factory.mktemp("routed"))
    yield started
    started.stop()


@pytest.fixture
def client(routed: Routed) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{routed.server.url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def user(said: str) -> list[dict]:
    return [{"role": "user", "content": said}]


def why(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["deployment"], one["why"], one["result"]) for one in row["attempts"]]


def test_the_faster_deployment_is_preferred_once_both_are_known(routed, client):
    answers = [
        client.chat.completions.with_raw_response.create(model="fastest", messages=user("hello")) for _ in range(6)
    ]
    asked = [answer.headers["x-shipway-deployment"] for answer in answers]
    assert set(asked[:2]) == {"slow", "fast"} and asked[2:] == ["fast"] * 4
    assert why(routed.call(answers[-1].headers["x-shipway-call"])) == [("fast", "latency", "answered")]
    shown = routed.server.cli("llm", "models")["models"]
    slow = next(model for model in shown if model["name"] == "fastest")["deployments"][0]
    assert slow["average_us"]["answer"] >= 700_000


def test_conditions_see_tags_tools_and_what_is_asked_for(routed, client):
    def deployment(**more: Any) -> str:
        raw = client.chat.completions.with_raw_response.create(model="judged", messages=user("hello"), **more)
        return raw.headers["x-shipway-deployment"]

    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    assert deployment() == "small"
    assert deployment(extra_headers={"x-shipway-tag-tier": "gold"}) == "large"
    assert deployment(tools=[tool]) == "large"
    with client.chat.completions.with_streaming_response.create(
        model="judged", messages=user("hello"), stream=True, max_tokens=900
    ) as raw:
        assert raw.headers["x-shipway-deployment"] == "cheap"
        raw.read()
    tags = [name for request in routed.mock.requests() for name in request["headers"] if "shipway-tag" in str(name)]
    assert not tags


@pytest.mark.parametrize("streamed", [False, True])
def test_a_prompt_that_does_not_fit_goes_to_the_deployment_that_has_more_room(routed, client, streamed):
    routed.mock.next("error=context", model="judged-small")
    raw = client.chat.completions.with_raw_response.create(model="judged", messages=user("hello"), stream=streamed)
    assert raw.headers["x-shipway-deployment"] == "large"
    answer = raw.parse()
    if streamed:
        assert [chunk for chunk in answer][-1].choices[0].finish_reason == "stop"
    row = routed.call(raw.headers["x-shipway-call"])
    assert why(row) == [
        ("small", "no condition", "context_window"),
        ("large", "on_context_window of small", "answered"),
    ]


def test_a_session_of_anthropics_client_stays_at_one_deployment(routed):
    with anthropic.Anthropic(base_url=routed.server.url, api_key="none", max_retries=0) as claude:
        used = {}
        for number in range(12):
            for _ in range(2):
                raw = claude.messages.with_raw_response.create(
                    model="kept", max_tokens=50, messages=user("hello"), metadata={"user_id": f"session-{number}"}
                )
                used.setdefault(number, set()).add(raw.headers["x-shipway-deployment"])
        assert all(len(deployments) == 1 for deployments in used.values())
        assert len(set().union(*used.values())) > 1


def test_a_hedge_answers_for_a_deployment_that_is_late_and_both_are_charged(routed, client):
    since = routed.mock.mark()
    raw = client.chat.completions.with_raw_response.create(model="hedged", messages=user(script("input=100,output=9")), stream=True)
    assert raw.headers["x-shipway-deployment"] == "soon"
    assert list(raw.parse())
    row = routed.call(raw.headers["x-shipway-call"])
    assert why(row) == [("soon", "hedge after 100 ms", "answered"), ("late", "first of the route", "cancelled")]
    # The one that answered, and the input of the one that was given up.
    assert row["cost_nanos"] == 100 * 1_000 + 9 * 10_000 + 100 * 1_000
    assert row["beside_nanos"] == 100 * 1_000 and row["is_estimated"] is True
    late = next(one for one in routed.mock.requests(ended=2, since=since) if one["model"].startswith("late"))
    assert late["sent"]["ended"] == "client_left" and late["sent"]["took_us"] < 15_000_000


def test_what_a_client_wishes_of_providers_is_kept_and_not_sent_on(routed, client):
    since = routed.mock.mark()
    raw = client.chat.completions.with_raw_response.create(
        model="judged", messages=user("hello"), extra_body={"provider": {"order": ["two"], "allow_fallbacks": False}}
    )
    assert raw.headers["x-shipway-deployment"] == "cheap"
    body = json.loads(routed.mock.body(routed.mock.requests(ended=1, since=since)[-1]["number"]))
    assert "provider" not in body and body["model"] == "judged-cheap"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="judged", messages=user("hello"), extra_body={"provider": {"only": ["nobody"]}})
    assert caught.value.param == "provider"


def test_tiers_and_modifiers_are_charged_and_recorded_with_their_day(routed, client):
    def charged(words: str, **more: Any) -> tuple[Decimal, dict[str, Any]]:
        raw = client.chat.completions.with_raw_response.create(model="tiered", messages=user(script(words)), **more)
        return Decimal(raw.headers["x-shipway-cost"]), routed.call(raw.headers["x-shipway-call"])

    cost, row = charged("input=1000,output=10")
    assert cost == Decimal(1000 * 1_000 + 10 * 10_000) / 10**9 and row["price_as_of"] == "2026-10-01"
    cost, _ = charged("input=1001,cached=1,output=10")
    assert cost == Decimal(1000 * 2_000 + 200 + 10 * 15_000) / 10**9


def test_calls_are_computed_again_at_the_prices_in_force_and_at_others(routed, client):
    raw = client.chat.completions.with_raw_response.create(model="tiered", messages=user(script("input=500,output=10")))
    routed.call(raw.headers["x-shipway-call"])
    groups = routed.server.cli("llm", "recompute", "--by", "model", "--by", "day")["groups"]
    assert groups and all(Decimal(group["difference_dollars"]) == 0 for group in groups), groups
    other = routed.folder / "other.yaml"
    other.write_text(MODELS.replace("input: 1, cached_input: 0.1, output: 10, reasoning: 8", "input: 2, cached_input: 0.1, output: 10"))
    before = next(group for group in groups if group["model"].startswith("tiered"))
    computed = routed.server.cli("llm", "recompute", "--prices", str(other), "--model", "tiered", "--since", "2020-01-01")["groups"]
    assert len(computed) == 1 and computed[0]["charged_dollars"] == before["charged_dollars"]
    assert Decimal(computed[0]["difference_dollars"]) > 0 and computed[0]["different_calls"] >= 1
    # Nothing was changed.
    again = routed.server.cli("llm", "recompute", "--model", "tiered")["groups"]
    assert Decimal(again[0]["difference_dollars"]) == 0


def test_tail_tells_the_reason_of_every_attempt(routed, client):
    client.chat.completions.create(model="hedged", messages=user("hello"))
    routed.mock.next("status=503", model="judged-small")
    raw = client.chat.completions.with_raw_response.create(model="judged", messages=user("hello"))
    routed.call(raw.headers["x-shipway-call"])
    shown = subprocess.run(
        [routed.binary, "llm", "tail", "--server", routed.server.url], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    told = " ".join(shown.split())
    assert "fallback after" in told and "no condition" in told


def test_a_condition_that_cannot_be_judged_is_refused_where_it_stands(routed, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(MODELS.replace("stream && max_tokens > 500", "stream && max_tokens > 'many'"))
    shown = subprocess.run(
        [routed.binary, "plan", str(wrong), "--server", routed.server.url], capture_output=True, text=True, timeout=60
    )
    assert shown.returncode != 0
    assert "wrong.yaml:" in shown.stderr and "at character" in shown.stderr and "whole number" in shown.stderr, shown.stderr
