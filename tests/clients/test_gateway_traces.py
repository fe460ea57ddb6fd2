"""What was asked and answered, kept by policy, found by field and by word, shown to who may read it, and sent as spans: the real server, the
unmodified `openai` and `anthropic` clients, the command, and a collector of OpenTelemetry."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import anthropic
import openai
import pytest
import requests
from gateway_setup import Gateway
from guarded_gateway import OPERATOR, GuardedGateway
from mock_provider import MockProvider, script
from real_binary import Server
from test_spans import Collector, said, traced

PRICE = "price: { input: 1, cached_input: 0.1, output: 10 }"
CALM = "retries: { overloaded: 0, connection: 0 }\ncooldown: { failures: 1000, pause: 1s }"
MODELS = f"""
kind: llm_guardrail
name: mails
action: redact
find: {{ personal: [email] }}
---
kind: llm_model
name: told
content: full
deployments:
  - {{ name: eu, provider: openai, model: told-eu, {PRICE} }}
  - {{ name: us, provider: openai, model: told-us, {PRICE} }}
{CALM}
---
kind: llm_model
name: told_claude
content: full
deployments: [{{ provider: anthropic, model: told-claude, {PRICE} }}]
---
kind: llm_model
name: discreet
guardrails: [mails]
content: redacted
deployments: [{{ provider: openai, model: discreet-upstream, {PRICE} }}]
---
kind: llm_model
name: silent
deployments: [{{ provider: openai, model: silent-upstream, {PRICE} }}]
"""


@pytest.fixture(scope="module")
def kept(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    definitions: Path = tmp_path_factory.mktemp("traces") / "models.yaml"
    definitions.write_text(MODELS, encoding="utf-8")
    gateway.server.cli("apply", str(definitions))
    return gateway


def client(kept: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=kept.openai, api_key=kept.key, max_retries=0)


T = TypeVar("T")


def soon(found: Callable[[], T | None], seconds: float = 40) -> T:
    """What is there a moment later: calls are carried into their tables."""
    deadline = time.monotonic() + seconds
    while (value := found()) is None:
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.1)
    return value


def search(kept: Gateway, *options: str) -> list[dict]:
    return kept.server.cli("llm", "traces", *options)["traces"]


def content(kept: Gateway, call: str) -> dict | None:
    answer = requests.get(f"{kept.url}/api/v1/llm/traces/{call}/content", timeout=30)
    return answer.json() if answer.status_code == 200 else None


def asked(kept: Gateway, model: str, text: str, **more: object) -> str:
    """Makes a call, and gives its id."""
    answer = client(kept).chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": text}], **more
    )
    return answer.headers["x-shipway-call"]


def test_words_are_kept_and_found_as_whole_words_and_phrases(kept: Gateway) -> None:
    call = asked(kept, "told", "Where does the Zanzibar ferry leave?")
    shown = soon(lambda: content(kept, call))
    assert shown["asked"] == [
        {"role": "user", "parts": [{"type": "text", "content": "Where does the Zanzibar ferry leave?"}]}
    ]
    assert shown["answered"][0]["role"] == "assistant" and shown["answered"][0]["finish_reason"] == "stop"
    assert (shown["keep"], shown["is_cut"]) == ("full", False)
    found = soon(lambda: search(kept, "--text", "ZANZIBAR leave") or None)
    assert [one["call"] for one in found] == [call]
    assert search(kept, "--text", '"zanzibar ferry"', "--model", "told")
    for nothing in [["--text", "zanzi"], ["--text", '"ferry zanzibar"'], ["--text", "zanzibar", "--model", "silent"]]:
        assert search(kept, *nothing) == [], nothing


def test_streams_of_every_client_are_kept_as_they_were_read(kept: Gateway) -> None:
    with client(kept).chat.completions.with_streaming_response.create(
        model="told", stream=True, messages=[{"role": "user", "content": script("chunks=9", "streamed quokka")}]
    ) as answer:
        call, frames = answer.headers["x-shipway-call"], list(answer.iter_lines())
    pieces = [json.loads(frame[6:]) for frame in frames if frame.startswith("data: {")]
    text = "".join(choice["delta"].get("content") or "" for piece in pieces for choice in piece["choices"])
    shown = soon(lambda: content(kept, call))
    assert shown["answered"][0]["parts"] == [{"type": "text", "content": text}]
    claude = anthropic.Anthropic(base_url=kept.url, api_key=kept.key, max_retries=0)
    with claude.messages.stream(
        model="told_claude", max_tokens=64, messages=[{"role": "user", "content": "streamed quokka"}]
    ) as stream:
        text = "".join(stream.text_stream)
        call = stream.response.headers["x-shipway-call"]
    assert soon(lambda: content(kept, call))["answered"][0]["parts"] == [{"type": "text", "content": text}]
    assert len(soon(lambda: None if len(found := search(kept, "--text", "quokka")) < 2 else found)) == 2


def test_nothing_is_kept_where_nothing_says_so_and_nothing_that_a_guardrail_finds_where_it_is_redacted(kept: Gateway) -> None:
    silent = asked(kept, "silent", "an axolotl of ann@example.com")
    discreet = asked(kept, "discreet", "an axolotl of ann@example.com")
    shown = soon(lambda: content(kept, discreet))
    assert "axolotl" in json.dumps(shown) and "ann@example.com" not in json.dumps(shown)
    found = soon(lambda: search(kept, "--text", "axolotl") or None)
    assert [one["call"] for one in found] == [discreet]
    assert search(kept, "--text", "ann") == []
    assert content(kept, silent) is None
    facts = soon(lambda: next(iter(search(kept, "--model", "silent")), None))
    assert (facts["call"], facts["content"]) == (silent, None)


def test_calls_are_found_by_what_is_known_of_them(kept: Gateway) -> None:
    labels = {"x-shipway-session": "s-77", "x-shipway-tag-team": "o'neil", "x-shipway-prompt": "greeting@3"}
    first = asked(kept, "told", "one", user="u-77", extra_headers=labels, metadata={"ticket": "T-1"})
    with pytest.raises(openai.APIStatusError):
        asked(kept, "told", script("status=529", "two"), extra_headers={"x-shipway-session": "s-77"})
    found = soon(lambda: found if len(found := search(kept, "--session", "s-77")) == 2 else None)
    assert found[1]["call"] == first and found[0]["outcome"] == "failed"
    assert [attempt["deployment"] for attempt in found[0]["attempts"]] == ["eu", "us"]
    for options, count in [
        (["--tag", "team=o'neil"], 1),
        (["--tag", "ticket=T-1", "--user", "u-77"], 1),
        (["--tag", "ticket=T-2"], 0),
        (["--prompt", "greeting@3", "--outcome", "answered", "--status", "200"], 1),
        (["--session", "s-77", "--min-dollars", "1000"], 0),
        (["--session", "s-77", "--since", "1h", "--min-ms", "0"], 2),
        (["--session", "s-77", "--until", "2020-01-01"], 0),
        (["--session", "s-77", "--limit", "1"], 1),
        (["--session", "s-77", "--before", found[0]["call"]], 1),
    ]:
        assert len(search(kept, *options)) == count, options
    soon(lambda: content(kept, first))
    told = kept.server.cli("llm", "traces", "show", first)
    assert told["call"]["tags"] == {"team": "o'neil", "ticket": "T-1"}
    assert told["content"]["asked"][0]["parts"][0]["content"] == "one"
    refused = requests.post(f"{kept.url}/api/v1/llm/traces/search", json={"outcome": "fine"}, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (400, "gateway.invalid")
    unknown = requests.get(f"{kept.url}/api/v1/llm/traces/{'0' * 32}", timeout=30)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "gateway.not_found")


def test_a_guardrails_verdicts_are_found(kept: Gateway) -> None:
    call = asked(kept, "discreet", "write to bob@example.com")

    def found() -> dict | None:
        redacted = search(kept, "--guardrail", "mails", "--verdict", "redacted")
        return next((one for one in redacted if one["call"] == call), None)

    assert soon(found)["guardrails"][0]["labels"] == ["email"]
    assert search(kept, "--guardrail", "mails", "--verdict", "blocked") == []


def test_words_are_in_no_table_that_sql_reads(kept: Gateway) -> None:
    asked(kept, "told", "a very particular capybara")
    soon(lambda: search(kept, "--text", "capybara") or None)
    tables = requests.get(f"{kept.url}/api/v1/tables", timeout=30).json()
    assert "llm_calls" in json.dumps(tables) and "day_" not in json.dumps(tables)
    rows = requests.post(f"{kept.url}/api/v1/sql", json={"query": "SELECT * FROM llm_calls"}, timeout=60).json()
    assert "capybara" not in json.dumps(rows)


@pytest.fixture(scope="module")
def closed(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedGateway]:
    guarded = GuardedGateway(binary, tmp_path_factory.mktemp("closed"))
    yield guarded
    guarded.server.stop()
    guarded.mock.stop()


def test_words_need_a_permission_of_their_own(closed: GuardedGateway, tmp_path: Path) -> None:
    definitions = tmp_path / "models.yaml"
    definitions.write_text(f"kind: llm_model\nname: told\ncontent: full\ndeployments: [{{ provider: first, model: up, {PRICE} }}]\n")
    closed.cli("apply", str(definitions), "--no-wait")
    operator = {"authorization": f"Bearer {OPERATOR}"}
    made = requests.post(f"{closed.url}/api/v1/llm/keys", json={"name": "clients"}, headers=operator, timeout=30)
    key = made.json()["key"]
    call = (
        openai.OpenAI(base_url=f"{closed.url}/v1", api_key=key)
        .chat.completions.with_raw_response.create(model="told", messages=[{"role": "user", "content": "secret otter"}])
        .headers["x-shipway-call"]
    )
    path = f"{closed.url}/api/v1/llm/traces/{call}"
    soon(lambda: True if requests.get(f"{path}/content", headers=operator, timeout=30).status_code == 200 else None)
    soon(lambda: True if requests.get(path, headers=operator, timeout=30).status_code == 200 else None)
    password = "a long enough password"

    def user(name: str, *grants: str) -> tuple[str, str]:
        created = requests.post(
            f"{closed.url}/api/v1/users", json={"name": name, "password": password}, headers=operator, timeout=30
        )
        assert created.status_code in (200, 201), created.text
        for grant in grants:
            closed.cli("users", "grant", name, grant)
        return name, password

    facts, words = user("fact_reader", "llm_model:manage"), user("word_reader", "llm_model:read", "llm_content:read")
    for who, of_facts, of_words in [(facts, 200, 403), (words, 200, 200)]:
        assert requests.get(path, auth=who, timeout=30).status_code == of_facts
        assert requests.get(f"{path}/content", auth=who, timeout=30).status_code == of_words
        for body, expected in [({}, of_facts), ({"text": "otter"}, of_words)]:
            found = requests.post(f"{closed.url}/api/v1/llm/traces/search", json=body, auth=who, timeout=30)
            assert found.status_code == expected, found.text
    keyed = {"authorization": f"Bearer {key}"}
    assert requests.get(path, headers=keyed, timeout=30).status_code == 403


@pytest.fixture(scope="module")
def spanned(binary: str, mock: MockProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Collector]]:
    folder, collector = tmp_path_factory.mktemp("spanned"), Collector()
    settings = {
        "SHIPWAY_SPANS__OTLP_ENDPOINT": collector.url,
        "SHIPWAY_SPANS__RATIO": "0",
        "SHIPWAY_SPANS__LLM_CONTENT": "true",
    }
    for kind in ["openai", "anthropic"]:
        settings |= {
            f"SHIPWAY_PROVIDERS__{kind.upper()}__KIND": kind,
            f"SHIPWAY_PROVIDERS__{kind.upper()}__BASE_URL": f"{mock.url}/v1",
        }
    server = Server(binary, folder / "data", folder / "server.log", settings)
    (folder / "models.yaml").write_text(MODELS, encoding="utf-8")
    server.cli("apply", str(folder / "models.yaml"))
    started = Gateway(server, mock, "")
    yield started._replace(key=started.new_key("clients")), collector
    server.stop()
    collector.close()


def test_a_sampled_call_is_a_span_with_the_names_of_the_conventions_and_a_span_for_each_attempt(
    spanned: tuple[Gateway, Collector],
) -> None:
    gateway, collector = spanned
    trace, caller = traced()
    gateway.mock.next("status=529", model="told-eu")
    call = asked(gateway, "told", "hello span", extra_headers={**caller, "x-shipway-session": "s-9"})
    spans = soon(lambda: spans if len(spans := collector.of(trace)) == 4 else None)
    by_name = {span.name: span for span in spans if span.name != "attempt"}
    request, of_call = by_name["POST /v1/chat/completions"], by_name["chat told"]
    assert of_call.parent_span_id == request.span_id and of_call.kind == of_call.SPAN_KIND_CLIENT
    told = said(of_call)
    for key, value in {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "told",
        "gen_ai.response.model": "told-us",
        "gen_ai.conversation.id": "s-9",
        "shipway.llm.call.id": call,
        "shipway.llm.outcome": "answered",
        "shipway.llm.attempts": 2,
    }.items():
        assert told[key] == value, key
    assert [value.string_value for value in told["gen_ai.response.finish_reasons"].values] == ["stop"]
    assert told["gen_ai.usage.input_tokens"] > 0 and told["gen_ai.usage.cost"] > 0
    assert json.loads(told["gen_ai.input.messages"])[0]["parts"][0]["content"] == "hello span"
    assert json.loads(told["gen_ai.output.messages"])[0]["role"] == "assistant"
    attempts = [said(span) for span in spans if span.name == "attempt" and span.parent_span_id == of_call.span_id]
    assert [(one["shipway.llm.deployment"], one["shipway.llm.attempt.result"]) for one in attempts] == [
        ("eu", "overloaded"),
        ("us", "answered"),
    ]
    assert attempts[1]["shipway.llm.attempt.reason"] == "fallback after overloaded of eu"
    assert attempts[0]["error.type"] == "overloaded"


def test_words_are_in_no_span_of_a_model_that_keeps_none_and_calls_that_are_not_sampled_have_none(
    spanned: tuple[Gateway, Collector],
) -> None:
    gateway, collector = spanned
    trace, caller = traced()
    answer = client(gateway).chat.completions.create(
        model="silent", stream=True, messages=[{"role": "user", "content": "hush"}], extra_headers=caller
    )
    assert list(answer)
    spans = soon(lambda: spans if len(spans := collector.of(trace)) == 3 else None)
    told = said(next(span for span in spans if span.name == "chat silent"))
    assert "gen_ai.input.messages" not in told and told["gen_ai.response.time_to_first_chunk"] > 0
    unsampled, caller = traced(sampled=False)
    asked(gateway, "told", "not sampled", extra_headers=caller)
    after, caller = traced()
    asked(gateway, "told", "sampled", extra_headers=caller)
    soon(lambda: True if collector.of(after) else None)
    assert collector.of(unsampled) == []
