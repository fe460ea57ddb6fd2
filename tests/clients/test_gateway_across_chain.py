"""A route whose deployments lie at providers of every kind: who answers, in whose words, and what it costs to the billionth of a dollar."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
import requests
from gateway_setup import Gateway
from google import genai
from google.genai import types
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from mock_provider import script

# Billionths of a dollar for a token: input, cached input, output.
PRICES = {"across-claude": (3_000, 300, 15_000), "across-gemini": (300, 75, 2_500), "across-gpt": (250, 25, 2_000)}
CHAIN = list(PRICES)
SAID = script("input=101,output=9,cached=40")


class Key:
    """A key of its own, so that what it spent is what these calls cost."""

    def __init__(self, gateway: Gateway) -> None:
        made = requests.post(f"{gateway.url}/api/v1/llm/keys", json={"name": "chain"}, timeout=30).json()
        self.text, self._url = made["key"], f"{gateway.url}/api/v1/llm/keys/{made['id']}"

    def spent(self) -> Decimal:
        return Decimal(requests.get(self._url, timeout=30).json()["used"]["dollars"]["total"])


@pytest.fixture
def key(gateway: Gateway) -> Key:
    return Key(gateway)


def cost(model: str, input_tokens: int = 101, cached: int = 40, output: int = 9) -> Decimal:
    plain, cache, written = PRICES[model]
    return Decimal(plain * (input_tokens - cached) + cache * cached + written * output) / 1_000_000_000


def by_openai(gateway: Gateway, key: str, stream: bool) -> str:
    with openai.OpenAI(base_url=gateway.openai, api_key=key, max_retries=0) as client:
        asked: dict[str, Any] = {"model": "across", "messages": [{"role": "user", "content": SAID}]}
        if not stream:
            return client.chat.completions.create(**asked).choices[0].message.content or ""
        chunks = client.chat.completions.create(**asked, stream=True)
        return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def by_responses(gateway: Gateway, key: str, stream: bool) -> str:
    with openai.OpenAI(base_url=gateway.openai, api_key=key, max_retries=0) as client:
        if not stream:
            return client.responses.create(model="across", input=SAID).output_text
        with client.responses.stream(model="across", input=SAID) as events:
            return events.get_final_response().output_text


def by_anthropic(gateway: Gateway, key: str, stream: bool) -> str:
    with anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0) as client:
        asked: dict[str, Any] = {"model": "across", "max_tokens": 100, "messages": [{"role": "user", "content": SAID}]}
        if not stream:
            return client.messages.create(**asked).content[0].text
        with client.messages.stream(**asked) as events:
            return events.get_final_text()


def by_google(gateway: Gateway, key: str, stream: bool) -> str:
    options = types.HttpOptions(base_url=gateway.url, retry_options=types.HttpRetryOptions(attempts=1))
    with genai.Client(api_key=key, http_options=options) as client:
        if not stream:
            return client.models.generate_content(model="across", contents=SAID).text or ""
        return "".join(chunk.text or "" for chunk in client.models.generate_content_stream(model="across", contents=SAID))


def by_langchain_openai(gateway: Gateway, key: str, stream: bool) -> str:
    model = ChatOpenAI(model="across", base_url=gateway.openai, api_key=key, max_retries=0)
    return "".join(chunk.text for chunk in model.stream(SAID)) if stream else model.invoke(SAID).text


def by_langchain_anthropic(gateway: Gateway, key: str, stream: bool) -> str:
    model = ChatAnthropic(model="across", base_url=gateway.url, api_key=key, max_retries=0, max_tokens=100)
    return "".join(chunk.text for chunk in model.stream(SAID)) if stream else model.invoke(SAID).text


CLIENTS = [by_openai, by_responses, by_anthropic, by_google, by_langchain_openai, by_langchain_anthropic]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("asks", CLIENTS)
def test_whoever_is_left_answers_every_client_and_it_costs_what_that_one_says(gateway, key, asks: Callable[[Gateway, str, bool], str], stream):
    total = Decimal(0)
    for left in range(len(CHAIN)):
        for broken, words in zip(CHAIN[:left], ["error=overloaded", "status=500"], strict=False):
            gateway.mock.next(words, model=broken)
        mark = gateway.mock.mark()
        assert asks(gateway, key.text, stream).endswith("word7")
        assert [request["model"] for request in gateway.mock.requests(since=mark, ended=left + 1)] == CHAIN[: left + 1]
        total += cost(CHAIN[left])
        assert key.spent() == total


@pytest.mark.parametrize("asks", CLIENTS)
def test_an_error_as_the_first_event_of_a_stream_leads_to_a_provider_of_another_kind(gateway, key, asks):
    gateway.mock.next("fault=error_frame:0", model="across-claude")
    gateway.mock.next("fault=end:0", model="across-gemini")
    mark = gateway.mock.mark()
    assert asks(gateway, key.text, True).endswith("word7")
    assert [request["model"] for request in gateway.mock.requests(since=mark, ended=3)] == CHAIN
    # The second was given up after it had the call: its input is charged by estimate.
    assert cost("across-gpt") < key.spent() < cost("across-gpt") + Decimal("0.0001")


def test_what_one_has_no_words_for_goes_to_the_next(gateway, key):
    with openai.OpenAI(base_url=gateway.openai, api_key=key.text, max_retries=0) as client:
        mark = gateway.mock.mark()
        raw = client.chat.completions.with_raw_response.create(model="across", messages=[{"role": "user", "content": SAID}], seed=1)
        # Anthropic has no seed, Gemini has.
        assert [request["model"] for request in gateway.mock.requests(since=mark, ended=1)] == ["across-gemini"]
        assert Decimal(raw.headers["x-shipway-cost"]) == cost("across-gemini") == key.spent()
        mark = gateway.mock.mark()
        raw = client.chat.completions.with_raw_response.create(model="across", messages=[{"role": "user", "content": SAID}], logprobs=True)
        assert [request["model"] for request in gateway.mock.requests(since=mark, ended=1)] == ["across-gpt"]
        assert Decimal(raw.headers["x-shipway-cost"]) == cost("across-gpt")


def test_a_limit_of_every_provider_is_told_with_the_wait_of_the_last(gateway, key):
    for model in CHAIN:
        gateway.mock.next("status=429,retry_after_ms=20", model=model)
    with anthropic.Anthropic(base_url=gateway.url, api_key=key.text, max_retries=0) as client, pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(model="across", max_tokens=10, messages=[{"role": "user", "content": SAID}])
    assert caught.value.response.headers["retry-after"] == "1"
    assert key.spent() == 0
