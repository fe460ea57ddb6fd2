"""The unmodified `anthropic` client calls models through the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import anthropic
import pytest
from gateway import Gateway
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
def client(gateway: Gateway, key: dict) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=key["key"], max_retries=0) as opened:
        yield opened


def asked(said: str, **more: object) -> dict:
    return {"model": "claude-mock", "max_tokens": 100, "messages": [{"role": "user", "content": said}], **more}


def spent(gateway: Gateway, key: dict) -> Decimal:
    return Decimal(gateway.used(key)["dollars"]["total"])


def cost(input_tokens: int, cached: int, written: int, output: int) -> Decimal:
    nanos = 3_000 * input_tokens + 300 * cached + 3_750 * written + 15_000 * output
    return Decimal(nanos) / 1_000_000_000


def test_a_message_and_its_cost_with_what_the_cache_read_and_took(gateway, client, key):
    message = client.messages.create(**asked(script("input=100,cached=40,cache_write=20,output=9")))
    usage = message.usage
    assert message.content[0].text and message.stop_reason == "end_turn"
    expected = cost(usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.output_tokens)
    assert spent(gateway, key) == expected > 0


def test_a_stream_with_tools_and_thinking(gateway, client, key):
    tools = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]
    with client.messages.stream(**asked(script("tools=2,thinking=3"), tools=tools)) as stream:
        message = stream.get_final_message()
    kinds = [block.type for block in message.content]
    assert kinds.count("tool_use") == 2 and "thinking" in kinds
    assert message.usage.input_tokens > 0
    assert spent(gateway, key) > 0


def test_tokens_are_counted_for_nothing(gateway, client, key):
    counted = client.messages.count_tokens(model="claude-mock", messages=[{"role": "user", "content": "hello"}])
    assert counted.input_tokens > 0
    assert spent(gateway, key) == 0


def test_errors_are_those_of_the_client(gateway, client):
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(**asked(script("error=invalid")))
    assert refused.value.response.headers["request-id"]
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(**{**asked("hello"), "model": "nothing"})
    with pytest.raises(anthropic.APIStatusError) as refused:
        client.messages.create(**asked(script("error=overloaded")))
    assert refused.value.status_code >= 500
    with anthropic.Anthropic(base_url=gateway.url, api_key="shipway_llm_0_0", max_retries=0) as other:
        with pytest.raises(anthropic.AuthenticationError):
            other.messages.create(**asked("hello"))


def test_a_stream_that_is_cut_raises_in_the_client(gateway, client, key):
    with pytest.raises(anthropic.APIError):
        with client.messages.stream(**asked(script("chunks=8,fault=cut:5"))) as stream:
            stream.get_final_message()
    assert spent(gateway, key) > 0


def test_a_key_as_bearer_token_and_limits_in_the_words_of_the_api(gateway):
    key = gateway.key("--requests-per-minute", "1")
    with anthropic.Anthropic(base_url=gateway.url, auth_token=key["key"], max_retries=0) as client:
        raw = client.messages.with_raw_response.create(**asked("hello"))
        assert raw.headers["anthropic-ratelimit-requests-remaining"] == "0"
        with pytest.raises(anthropic.RateLimitError) as refused:
            client.messages.create(**asked("hello"))
        assert int(refused.value.response.headers["retry-after"]) > 0
