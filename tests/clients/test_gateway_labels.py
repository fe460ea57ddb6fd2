"""Keys that are bound to routes, tools, a user and tags, made on the command line and shown to the unmodified clients; users and tags with budgets of their own."""

from __future__ import annotations

import anthropic
import openai
import pytest
import requests
from gateway_setup import Gateway
from mock_provider import WEATHER, script

TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
HELLO = [{"role": "user", "content": "hello"}]


def client_of(gateway: Gateway, key: str, **more: object) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.openai, api_key=key, max_retries=0, **more)


def test_a_key_is_bound_to_routes_and_tools_on_the_command_line(gateway):
    made = gateway.server.cli("llm", "keys", "create", "bound", "--route", "chat", "--tool", "weath*", "--user", "eve", "--tag", "team=search")
    assert (made["routes"], made["tools"], made["user"], made["tags"]) == (["chat"], ["weath*"], "eve", {"team": "search"})
    with client_of(gateway, made["key"]) as client:
        assert client.chat.completions.create(model="chat", messages=HELLO, tools=[TOOL]).choices
        with pytest.raises(openai.PermissionDeniedError) as refused:
            client.chat.completions.create(model="chat", messages=HELLO, tools=[TOOL | {"function": {"name": "shell"}}])
        assert refused.value.code == "gateway.tool_not_allowed" and "shell" in refused.value.message
        with pytest.raises(openai.PermissionDeniedError) as refused:
            client.embeddings.create(model="embeddings", input="hello")
        assert refused.value.code == "gateway.route_not_allowed"
    with anthropic.Anthropic(base_url=gateway.url, api_key=made["key"], max_retries=0) as client, pytest.raises(anthropic.PermissionDeniedError):
        client.messages.create(model="claude", max_tokens=9, messages=HELLO)
    listed = gateway.server.cli("llm", "keys", "list")["keys"]
    assert {"routes": ["chat"], "user": "eve"}.items() <= next(key for key in listed if key["id"] == made["id"]).items()


def test_a_key_without_tools_offers_none(gateway):
    made = gateway.server.cli("llm", "keys", "create", "plain", "--no-tools")
    with client_of(gateway, made["key"]) as client:
        assert client.chat.completions.create(model="chat", messages=HELLO).choices
        with pytest.raises(openai.PermissionDeniedError, match="weather"):
            client.chat.completions.create(model="chat", messages=HELLO, tools=[TOOL])
        with pytest.raises(openai.PermissionDeniedError, match="a file of calls"):
            line = b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "chat", "messages": []}}'
            client.files.create(file=("calls.jsonl", line), purpose="batch")


def test_a_user_has_a_budget_whoever_asks_for_them(gateway):
    # Nine tokens at ten dollars for a million are 90 millionths of a dollar, and the question a few more.
    gateway.server.cli("llm", "users", "put", "mallory@example.com", "--budget", "0.0003/day")
    said = [{"role": "user", "content": script("input=10,output=9")}]
    with client_of(gateway, gateway.new_key("one")) as one, client_of(gateway, gateway.new_key("two")) as two:
        asked = {"model": "chat", "messages": said, "max_tokens": 9, "user": "mallory@example.com"}
        for client in (one, two):
            assert client.chat.completions.create(**asked).usage.completion_tokens == 9
        with pytest.raises(openai.APIStatusError) as refused:
            for _ in range(4):
                two.chat.completions.create(**asked)
        assert refused.value.status_code == 402 and "user/mallory@example.com" in refused.value.message
        assert two.chat.completions.create(**(asked | {"user": "trent"})).choices
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client, pytest.raises(anthropic.APIStatusError, match="mallory"):
        client.messages.create(model="claude", max_tokens=30, messages=said, metadata={"user_id": "mallory@example.com"})
    shown = requests.get(f"{gateway.url}/api/v1/llm/labels/user/mallory%40example.com", timeout=30).json()
    assert shown["used"]["calls"] >= 2 and float(shown["used"]["dollars"]["day"]) <= 0.0003
    assert "mallory@example.com" in str(gateway.server.cli("llm", "cost")["labels"])
    gateway.server.cli("llm", "users", "delete", "mallory@example.com")
    assert gateway.server.cli("llm", "users", "list")["labels"] == []


def test_a_tag_has_a_rate_and_headers_say_it(gateway):
    gateway.server.cli("llm", "tags", "put", "job=nightly", "--requests-per-minute", "2")
    with client_of(gateway, gateway.key, default_headers={"x-shipway-tag-job": "nightly"}) as client:
        answers = [client.chat.completions.with_raw_response.create(model="chat", messages=HELLO) for _ in range(2)]
        assert answers[0].headers["x-ratelimit-limit-requests"] == "2"
        with pytest.raises(openai.RateLimitError, match="tag/job=nightly"):
            client.chat.completions.create(model="chat", messages=HELLO)
    with client_of(gateway, gateway.key) as client:
        assert client.chat.completions.create(model="chat", messages=HELLO).choices
    gateway.server.cli("llm", "tags", "delete", "job=nightly")
