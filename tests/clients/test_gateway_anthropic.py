"""The unmodified `anthropic` client through the gateway, to a provider that speaks the same."""

from __future__ import annotations

import json

import anthropic
import pydantic
import pytest
from gateway_setup import SECRET, Gateway
from mock_provider import PIXEL, WEATHER, script

TOOLS = [{"name": name, "description": "what it does", "input_schema": WEATHER} for name in ("weather", "history")]
THINKING = {"type": "enabled", "budget_tokens": 1024}


class Trip(pydantic.BaseModel):
    city: str
    nights: int


@pytest.fixture
def client(gateway: Gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as opened:
        yield opened


def ask(client, said, **more):
    messages = said if isinstance(said, list) else [{"role": "user", "content": said}]
    return client.messages.create(**{"model": "claude-mock", "max_tokens": 2048, "messages": messages, **more})


def final(client, messages, **more):
    with client.messages.stream(model="claude-mock", max_tokens=2048, messages=messages, **more) as stream:
        return stream.get_final_message()


def test_a_message_goes_to_the_providers_model_with_the_providers_key(client, gateway):
    answer = ask(client, script("input=100,output=9,cached=40,cache_write=10,cache_write_1h=5"))
    arrived = gateway.mock.last()
    assert arrived["model"] == "claude-upstream" and gateway.key not in json.dumps(arrived)
    assert answer.content[0].text.startswith(f"digest={arrived['body_crc32']} messages=1")
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (45, 40, 15)


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_the_key_may_come_in_either_header(client, gateway, header):
    given = {"Authorization": f"Bearer {gateway.key}"} if header == "authorization" else {"x-api-key": gateway.key, "Authorization": anthropic.Omit()}
    assert ask(client, "hello", extra_headers=given).content


def test_a_stream_has_usage_at_both_ends(client):
    messages = [{"role": "user", "content": script("input=100,cached=40,output=7")}]
    events = list(client.messages.create(model="claude-mock", max_tokens=100, messages=messages, stream=True))
    assert events[0].message.usage.input_tokens == 60 and events[-2].usage.output_tokens == 7


@pytest.mark.parametrize("words", ["tools=3", "tools=3,pings", "tools=3,split=5", "tools=3,crlf,comments", "tools=3,multiline"])
def test_parallel_tools_and_their_results(client, words):
    messages = [{"role": "user", "content": script(words)}]
    answer = final(client, messages, tools=TOOLS)
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [(name, {"city": "text é", "days": 1}) for name in ("weather", "history", "weather")]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
    turn = [*messages, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    assert "messages=3" in ask(client, turn, tools=TOOLS).content[0].text


@pytest.mark.parametrize("words", ["tools=1", "tools=1,redacted"])
def test_thoughts_come_back_as_they_were_signed(client, words):
    messages = [{"role": "user", "content": script(words)}]
    answer = final(client, messages, tools=TOOLS, thinking=THINKING)
    result = {"type": "tool_result", "tool_use_id": answer.content[1].id, "content": "sunny"}

    def go_on(blocks):
        turn = [*messages, {"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
        return ask(client, turn, tools=TOOLS, thinking=THINKING)

    assert go_on(answer.content).content[-1].type == "text"
    with pytest.raises(anthropic.BadRequestError, match="Expected `thinking`"):
        go_on(answer.content[1:])


def test_structured_output_and_images(client):
    parsed = client.messages.parse(model="claude-mock", max_tokens=100, messages=[{"role": "user", "content": "plan"}], output_format=Trip)
    assert parsed.parsed_output == Trip(city="text é", nights=7)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    assert "image=" in ask(client, [{"role": "user", "content": [image]}]).content[0].text


@pytest.mark.parametrize(
    ("words", "raised", "kind"),
    [
        ("error=invalid", anthropic.BadRequestError, "invalid_request_error"),
        ("error=context", anthropic.BadRequestError, "invalid_request_error"),
        ("error=too_large", anthropic.RequestTooLargeError, "request_too_large"),
        ("status=429", anthropic.RateLimitError, "rate_limit_error"),
        ("status=529", anthropic.OverloadedError, "overloaded_error"),
        ("status=500", anthropic.InternalServerError, "api_error"),
        ("error=auth", anthropic.InternalServerError, "api_error"),
        ("fault=html", anthropic.InternalServerError, ...),
        ("fault=disconnect", anthropic.InternalServerError, ...),
        ("fault=empty", anthropic.InternalServerError, ...),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_the_provider_are_those_of_the_client(client, words, raised, kind, stream):
    with pytest.raises(raised) as caught:
        ask(client, script(words), stream=stream)
    assert caught.value.body["type"] == "error"
    if kind is not ...:
        assert caught.value.body["error"]["type"] == kind
    assert SECRET not in str(caught.value) and caught.value.request_id


def test_keys_and_models_that_are_not_there(client):
    with pytest.raises(anthropic.NotFoundError):
        ask(client, "hello", model="claude-none")
    with pytest.raises(anthropic.AuthenticationError):
        ask(client.with_options(api_key="shipway_llm_wrong"), "hello")


def test_retry_after_reaches_the_client(client, gateway):
    with pytest.raises(anthropic.RateLimitError) as caught:
        ask(client, script("status=429,retry_after=7"))
    assert caught.value.response.headers["retry-after"] == "7"
    mark = gateway.mock.mark()
    gateway.mock.next("status=429,retry_after_ms=1", model="claude-upstream")
    ask(client.with_options(max_retries=1), "hello")
    assert [request["sent"]["status"] for request in gateway.mock.requests(since=mark, ended=2)] == [429, 200]


def test_tokens_are_counted(client):
    messages = [{"role": "user", "content": script("input=321")}]
    assert client.messages.count_tokens(model="claude-mock", messages=messages).input_tokens == 321


def test_a_client_that_leaves_ends_the_call_of_the_provider(client, gateway):
    mark = gateway.mock.mark()
    stream = ask(client, script("chunks=1000,interval=20ms"), stream=True)
    next(iter(stream))
    stream.close()
    [arrived] = gateway.mock.requests(since=mark, ended=1)
    assert arrived["sent"]["ended"] == "client_left" and arrived["sent"]["took_us"] < 15_000_000


@pytest.mark.parametrize("fault", ["cut:4", "half_frame:4", "end:4", "no_terminator", "no_finish", "error_frame:4", "error_frame:0"])
def test_a_stream_that_breaks_raises(client, fault):
    with pytest.raises(anthropic.APIStatusError):
        final(client, [{"role": "user", "content": script(f"fault={fault}")}])
