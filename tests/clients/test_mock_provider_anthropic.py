"""The provider that is played answers the unmodified `anthropic` client."""

from __future__ import annotations

import json

import anthropic
import pydantic
import pytest
from mock_provider import PIXEL, WEATHER, MockProvider, script

TOOLS = [{"name": name, "description": "what it does", "input_schema": WEATHER} for name in ("weather", "history")]
THINKING = {"type": "enabled", "budget_tokens": 1024}


class Trip(pydantic.BaseModel):
    city: str
    nights: int


@pytest.fixture
def client(mock: MockProvider):
    with anthropic.Anthropic(base_url=mock.url, api_key="sk-ant-test", max_retries=0) as opened:
        yield opened


def ask(client, said, **more):
    messages = said if isinstance(said, list) else [{"role": "user", "content": said}]
    return client.messages.create(model="claude-mock", max_tokens=2048, messages=messages, **more)


def final(client, messages, **more):
    with client.messages.stream(model="claude-mock", max_tokens=2048, messages=messages, **more) as stream:
        return stream.get_final_message()


def test_an_answer_says_which_bytes_arrived(client, mock):
    answer = ask(client, script("input=100,output=9,cached=40,cache_write=10,cache_write_1h=5"))
    arrived = mock.last()
    assert answer.content[0].text.startswith(f"digest={arrived['body_crc32']} messages=1")
    # This version of the client sends its key as a bearer's, those before it as `x-api-key`.
    assert arrived["headers"]["authorization"].startswith("sha256:") and "sk-ant-test" not in json.dumps(arrived)
    ask(client, "hello", extra_headers={"x-api-key": "sk-ant-test", "Authorization": anthropic.Omit()})
    assert mock.last()["key"] == arrived["key"] and "sk-ant-test" not in json.dumps(mock.last())
    assert answer.stop_reason == "end_turn"
    # What comes out of the cache, or goes into it, is beside the input.
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (45, 40, 15)
    assert (usage.cache_creation.ephemeral_5m_input_tokens, usage.cache_creation.ephemeral_1h_input_tokens) == (10, 5)
    assert usage.output_tokens == 9


def test_a_stream_has_usage_at_both_ends(client):
    stream = client.messages.create(
        model="claude-mock", max_tokens=100, messages=[{"role": "user", "content": script("input=100,cached=40,output=7")}], stream=True
    )
    events = list(stream)
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert (events[0].message.usage.input_tokens, events[0].message.usage.cache_read_input_tokens) == (60, 40)
    assert events[-2].usage.output_tokens == 7 and events[-2].delta.stop_reason == "end_turn"


@pytest.mark.parametrize("words", ["tools=3", "tools=3,pings", "tools=3,split=5", "tools=3,crlf,comments", "tools=3,multiline", "tools=3,gzip"])
def test_parallel_tools_and_their_results(client, words):
    messages = [{"role": "user", "content": script(words)}]
    answer = final(client, messages, tools=TOOLS)
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [(name, {"city": "text é", "days": 1}) for name in ("weather", "history", "weather")]
    assert answer.stop_reason == "tool_use"
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
    turn = [*messages, {"role": "assistant", "content": answer.content}]
    again = ask(client, [*turn, {"role": "user", "content": results}], tools=TOOLS)
    assert "messages=3" in again.content[0].text
    with pytest.raises(anthropic.BadRequestError, match="without `tool_result` blocks"):
        ask(client, [*turn, {"role": "user", "content": results[1:]}], tools=TOOLS)


def test_a_call_without_arguments_is_the_empty_object(client):
    messages = [{"role": "user", "content": script("tools=1,args=empty")}]
    assert final(client, messages, tools=TOOLS).content[0].input == {}
    assert ask(client, messages, tools=TOOLS).content[0].input == {}
    forced = ask(client, "hello", tools=TOOLS, tool_choice={"type": "tool", "name": "history"})
    assert [block.name for block in forced.content] == ["history"]


@pytest.mark.parametrize("words", ["tools=1", "tools=1,redacted"])
def test_thoughts_come_back_as_they_were_signed(client, words):
    messages = [{"role": "user", "content": script(words)}]
    answer = final(client, messages, tools=TOOLS, thinking=THINKING)
    assert answer.content[0].type == ("redacted_thinking" if "redacted" in words else "thinking")
    result = {"type": "tool_result", "tool_use_id": answer.content[1].id, "content": "sunny"}

    def go_on(blocks):
        turn = [*messages, {"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
        return ask(client, turn, tools=TOOLS, thinking=THINKING)

    assert go_on(answer.content).content[-1].type == "text"
    with pytest.raises(anthropic.BadRequestError, match="Expected `thinking`"):
        go_on(answer.content[1:])
    if "redacted" not in words:
        changed = answer.content[0].model_copy(update={"thinking": "something else"})
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            go_on([changed, answer.content[1]])


def test_structure_images_refusal_and_length(client):
    parsed = client.messages.parse(model="claude-mock", max_tokens=100, messages=[{"role": "user", "content": "plan"}], output_format=Trip)
    assert parsed.parsed_output == Trip(city="text é", nights=7)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    assert "image=" in ask(client, [{"role": "user", "content": [image]}]).content[0].text
    assert [ask(client, script(words)).stop_reason for words in ("refusal", "finish=length")] == ["refusal", "max_tokens"]


@pytest.mark.parametrize(
    ("words", "raised", "kind"),
    [
        ("error=invalid", anthropic.BadRequestError, "invalid_request_error"),
        ("error=context", anthropic.BadRequestError, "invalid_request_error"),
        ("error=auth", anthropic.AuthenticationError, "authentication_error"),
        ("error=permission", anthropic.PermissionDeniedError, "permission_error"),
        ("error=not_found", anthropic.NotFoundError, "not_found_error"),
        ("error=too_large", anthropic.RequestTooLargeError, "request_too_large"),
        ("status=429", anthropic.RateLimitError, "rate_limit_error"),
        ("status=500", anthropic.InternalServerError, "api_error"),
        ("status=529", anthropic.OverloadedError, "overloaded_error"),
    ],
)
def test_errors_are_those_of_the_client(client, words, raised, kind):
    with pytest.raises(raised) as caught:
        ask(client, script(words))
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.request_id == caught.value.body["request_id"]


def test_the_client_tries_again_when_it_is_told(mock):
    mark = mock.mark()
    mock.next("status=529,retry_after_ms=1", "status=429,retry_after=0.01", model="claude-again")
    with anthropic.Anthropic(base_url=mock.url, api_key="sk-ant-test", max_retries=2) as client:
        client.messages.create(model="claude-again", max_tokens=10, messages=[{"role": "user", "content": "hello"}])
    assert [request["sent"]["status"] for request in mock.requests(since=mark, ended=3)] == [529, 429, 200]


def test_an_error_within_a_stream_raises(client):
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        final(client, [{"role": "user", "content": script("fault=error_frame:3")}])


@pytest.mark.parametrize("fault", ["cut:4", "half_frame:4"])
def test_a_stream_that_is_cut_raises(client, fault):
    with pytest.raises(Exception, match="incomplete|closed"):
        final(client, [{"role": "user", "content": script(f"fault={fault}")}])


def test_tokens_are_counted(client):
    messages = [{"role": "user", "content": script("input=321")}]
    assert client.messages.count_tokens(model="claude-mock", messages=messages).input_tokens == 321


def test_models(client):
    assert "claude-mock" in [model.id for model in client.models.list()]
