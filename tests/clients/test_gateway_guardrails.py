"""Guardrails, as the unmodified `openai` and `anthropic` clients see them, and on the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import anthropic
import openai
import pytest
from gateway_setup import Gateway
from mock_provider import WEATHER, script

PRICE = "price: { input: 1, cached_input: 0.1, cache_write: 1.25, output: 10 }"
MODELS = f"""
kind: llm_guardrail
name: people
action: redact
find: {{ personal: [email, credit_card] }}
---
kind: llm_guardrail
name: keys
action: block
find: {{ secrets: [api_key, private_key, jwt] }}
---
kind: llm_guardrail
name: hosts
on: output
action: block
find: {{ urls: {{ allow: [example.com] }} }}
---
kind: llm_guardrail
name: aurora
action: shadow
find: {{ patterns: {{ aurora: "(?i)project aurora" }} }}
---
kind: llm_model
name: screened
guardrails: [keys, people, hosts, aurora]
deployments: [{{ provider: openai, model: screened-upstream, {PRICE} }}]
---
kind: llm_model
name: screened_claude
guardrails: [keys, people, hosts, aurora]
deployments: [{{ provider: anthropic, model: screened-upstream, {PRICE} }}]
"""
MAIL = "ada.lovelace@mail.example.org"
CARD = "4111 1111 1111 1111"
KEY = "AKIAIOSFODNN7EXAMPLE"
# Pieces of one character up to a whole answer.
PIECES = [1, 2, 3, 5, 8, 13, 40, 200]


@pytest.fixture(scope="module")
def screened(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    gateway.apply(tmp_path_factory.mktemp("screened"), MODELS)
    return gateway


@pytest.fixture
def client(screened: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=screened.openai, api_key=screened.key, max_retries=0) as opened:
        yield opened


@pytest.fixture
def claude(screened: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=screened.url, api_key=screened.key, max_retries=0) as opened:
        yield opened


def user(said: str) -> list[dict]:
    return [{"role": "user", "content": said}]


def sent(gateway: Gateway) -> str:
    return gateway.mock.last()["body"]


def test_what_is_redacted_does_not_reach_the_provider_and_comes_back(client, screened):
    raw = client.chat.completions.with_raw_response.create(
        model="screened", messages=user(script("echo", f"I am {MAIL}, card {CARD}."))
    )
    assert raw.headers["x-shipway-guardrails"] == "people=redacted"
    assert MAIL not in sent(screened) and CARD not in sent(screened)
    assert "<EMAIL_1>" in sent(screened) and "<CREDIT_CARD_1>" in sent(screened)
    said = raw.parse().choices[0].message.content
    assert MAIL in said and CARD in said and "EMAIL_1" not in said


@pytest.mark.parametrize("pieces", PIECES)
def test_a_stream_gives_back_what_was_taken_out_however_it_is_cut(client, claude, pieces):
    said = script(f"echo,chunks={pieces}", f"I am {MAIL}, card {CARD}.")
    stream = client.chat.completions.create(model="screened", messages=user(said), stream=True)
    chunks = list(stream)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert f"I am {MAIL}, card {CARD}." in text
    assert chunks[-1].choices[0].finish_reason == "stop"
    with claude.messages.stream(model="screened_claude", max_tokens=200, messages=user(said)) as events:
        assert f"I am {MAIL}, card {CARD}." in events.get_final_text()
    with client.responses.stream(model="screened", input=said) as events:
        assert f"I am {MAIL}, card {CARD}." in events.get_final_response().output_text


def test_a_request_with_a_secret_is_refused_in_the_words_of_each_api(client, claude, screened):
    before = screened.mock.last()["number"]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="screened", messages=user(f"use {KEY}"))
    assert refused.value.code == "guardrail.keys" and KEY not in str(refused.value)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="screened", input=f"use {KEY}", stream=True)
    assert refused.value.code == "guardrail.keys"
    with pytest.raises(anthropic.BadRequestError) as refused_claude:
        claude.messages.create(model="screened_claude", max_tokens=10, messages=user(f"use {KEY}"))
    assert "guardrail keys" in str(refused_claude.value)
    assert screened.mock.last()["number"] == before


@pytest.mark.parametrize("pieces", PIECES)
def test_a_stream_that_must_not_go_on_ends_with_an_error_and_leaves_the_provider(client, claude, screened, pieces):
    said = script(f"echo,chunks={pieces}", "see https://bad.net/x and more")
    text = ""
    with pytest.raises(openai.APIError) as broken:
        for chunk in client.chat.completions.create(model="screened", messages=user(said), stream=True):
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
    assert broken.value.code == "guardrail.hosts" and "bad.net" not in text
    with pytest.raises(anthropic.APIStatusError) as broken_claude:
        with claude.messages.stream(model="screened_claude", max_tokens=200, messages=user(said)) as events:
            events.until_done()
    assert "guardrail hosts" in str(broken_claude.value)
    allowed = script(f"echo,chunks={pieces}", "see https://docs.example.com/x")
    stream = client.chat.completions.create(model="screened", messages=user(allowed), stream=True)
    assert "https://docs.example.com/x" in "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_tools_keep_their_arguments_and_their_results_are_looked_at(client, claude, screened):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    messages = user(script("tools=2", MAIL))
    with client.chat.completions.stream(model="screened", messages=messages, tools=tools) as stream:
        message = stream.get_final_completion().choices[0].message
    assert all(json.loads(call.function.arguments)["days"] == 1 for call in message.tool_calls)
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"sunny, says {MAIL}"} for call in message.tool_calls]
    client.chat.completions.create(model="screened", messages=[*messages, message, *results], tools=tools)
    assert MAIL not in sent(screened) and sent(screened).count("<EMAIL_1>") == 3
    own = [{"name": "weather", "input_schema": WEATHER}]
    with claude.messages.stream(model="screened_claude", max_tokens=200, messages=messages, tools=own) as events:
        final = events.get_final_message()
    assert [block.input["days"] for block in final.content if block.type == "tool_use"] == [1, 1]


def test_verdicts_are_in_the_table_of_calls_and_no_value_is_anywhere(client, screened):
    client.chat.completions.create(model="screened", messages=user(script("echo", f"Project Aurora, {MAIL}")))
    query = (
        "SELECT guardrails FROM llm_calls WHERE model = 'screened' AND guardrails LIKE '%aurora%' ORDER BY at DESC LIMIT 1"
    )
    deadline = time.monotonic() + 60
    while "aurora" not in (rows := json.dumps(screened.server.cli("sql", query))):
        assert time.monotonic() < deadline, rows
        time.sleep(0.2)
    assert "shadowed" in rows and "redacted" in rows and MAIL not in rows
    assert MAIL not in screened.server.log() and KEY not in screened.server.log()


def test_the_command_line_lists_and_tries_them(screened, tmp_path):
    listed = screened.server.cli("llm", "guardrails")["guardrails"]
    assert [guardrail["name"] for guardrail in listed] == ["aurora", "hosts", "keys", "people"]
    assert all(guardrail["models"] == ["screened", "screened_claude"] for guardrail in listed)
    text = tmp_path / "notes.txt"
    text.write_text(f"line one\nwrite to {MAIL} with {KEY}\n", encoding="utf-8")
    tried = screened.server.cli("llm", "guardrails", "try", str(text))
    assert tried["text"] == "line one\nwrite to <EMAIL_1> with <API_KEY_1>\n"
    found = [(one["label"], one["line"], one["column"]) for one in tried["findings"]]
    assert found == [("email", 2, 10), ("api_key", 2, 45)]
    assert MAIL not in json.dumps(tried) and KEY not in json.dumps(tried)
    only = screened.server.cli("llm", "guardrails", "try", str(text), "--guardrail", "people")
    assert [one["guardrail"] for one in only["findings"]] == ["people"]
