"""The unmodified `anthropic` client asks models at OpenAI and at Google."""

from __future__ import annotations

import base64
import json
import zlib

import anthropic
import pydantic
import pytest
from gateway_setup import SECRET, Gateway
from mock_provider import PIXEL, WEATHER, script

TOOLS = [{"name": name, "description": "what it does", "input_schema": WEATHER} for name in ("weather", "history")]
THINKING = {"type": "enabled", "budget_tokens": 1024}
UPSTREAM = {"gpt-mock": "/v1/chat/completions", "gemini-mock": "/v1beta/models/gemini-upstream:generateContent"}
MODELS = pytest.mark.parametrize("model", UPSTREAM)


class Trip(pydantic.BaseModel):
    city: str
    nights: int


@pytest.fixture
def client(gateway: Gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as opened:
        yield opened


def user(said: str) -> list[dict]:
    return [{"role": "user", "content": said}]


def ask(client, model, said, **more):
    messages = said if isinstance(said, list) else user(said)
    return client.messages.create(**{"model": model, "max_tokens": 2048, "messages": messages, **more})


def final(client, model, messages, **more):
    with client.messages.stream(model=model, max_tokens=2048, messages=messages, **more) as stream:
        return stream.get_final_message()


@MODELS
def test_a_message_goes_to_the_providers_model_with_the_providers_key(client, gateway, model):
    raw = client.messages.with_raw_response.create(
        model=model, max_tokens=99, system="be brief", messages=user(script("input=100,output=9,cached=40"))
    )
    answer, arrived = raw.parse(), gateway.mock.last()
    assert arrived["target"] == UPSTREAM[model] and arrived["model"] == model.replace("mock", "upstream")
    assert gateway.key not in json.dumps(arrived) and "anthropic-version" not in json.dumps(arrived["headers"])
    assert "be brief" in arrived["body"] and "99" in arrived["body"]
    assert answer.model == model and answer.stop_reason == "end_turn"
    assert answer.content[0].text.startswith(f"digest={arrived['body_crc32']} messages=")
    # What was cached is within the input there, and beside it here.
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens, answer.usage.output_tokens) == (60, 40, 9)
    assert raw.headers["x-shipway-cost"] == "0.000154000" and raw.headers["request-id"] == raw.headers["x-shipway-call"]


@MODELS
@pytest.mark.parametrize("framing", ["", "split=utf8", "split=3", "crlf,comments", "multiline"])
def test_a_stream_has_usage_at_both_ends(client, model, framing):
    said = user(script(f"input=100,cached=40,output=7,unicode,{framing}"))
    events = list(client.messages.create(model=model, max_tokens=100, messages=said, stream=True))
    # Nobody has counted yet, and clients show what the beginning says.
    assert events[0].message.usage.input_tokens > 0 and events[0].message.model == model
    usage = events[-2].usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (60, 40, 7)
    assert events[-1].type == "message_stop"
    text = "".join(event.delta.text for event in events if event.type == "content_block_delta")
    whole = ask(client, model, said).content[0].text
    assert text.split(" ", 1)[1] == whole.split(" ", 1)[1]


@MODELS
@pytest.mark.parametrize("words", ["tools=3", "tools=3,split=5", "tools=3,crlf,comments", "tools=3,multiline", "tools=3,interleave"])
def test_parallel_tools_and_their_results(client, model, words):
    messages = user(script(words))
    answer = final(client, model, messages, tools=TOOLS)
    assert answer.stop_reason == "tool_use"
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [(name, {"city": "text é", "days": 1}) for name in ("weather", "history", "weather")]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
    turn = [*messages, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    # Results are messages of their own for OpenAI.
    assert f"messages={5 if model == 'gpt-mock' else 3}" in ask(client, model, turn, tools=TOOLS).content[0].text


@MODELS
@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_come_back_as_they_were_signed(client, model, stream):
    messages = user(script("tools=1,thinking=2"))
    more = {"tools": TOOLS, "thinking": THINKING}
    answer = final(client, model, messages, **more) if stream else ask(client, model, messages, **more)
    thoughts = [block for block in answer.content if block.type == "thinking"]
    assert "".join(block.thinking for block in thoughts).startswith("thought 0")
    # Gemini signs its calls, and what it signed goes home; OpenAI's chat has no such proof.
    assert any(block.signature.startswith("shipway:gemini:") for block in thoughts) == (model == "gemini-mock")
    [call] = [block for block in answer.content if block.type == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}

    def go_on(blocks):
        return ask(client, model, [*messages, {"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}], **more)

    assert go_on(answer.content).content[-1].text.endswith("word7")
    if model == "gemini-mock":
        for block in thoughts:
            block.signature = block.signature and "shipway:gemini:Y2hhbmdlZA=="
        with pytest.raises(anthropic.BadRequestError, match="thought_signature"):
            go_on(answer.content)


def test_thoughts_of_another_provider_stay_out_of_a_conversation_that_goes_on_elsewhere(client):
    messages = user(script("tools=1"))
    answer = ask(client, "claude-mock", messages, tools=TOOLS, thinking=THINKING)
    result = {"type": "tool_result", "tool_use_id": answer.content[-1].id, "content": "sunny"}
    turn = [*messages, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    for model in UPSTREAM:
        raw = client.messages.with_raw_response.create(model=model, max_tokens=100, messages=turn, tools=TOOLS)
        assert "messages[1].content[0]" in raw.headers["x-shipway-dropped"]


@MODELS
def test_structured_output_and_images_also_in_results(client, model):
    parsed = client.messages.parse(model=model, max_tokens=100, messages=user("plan"), output_format=Trip)
    assert parsed.parsed_output == Trip(city="text é", nights=7)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    seen = f"image={zlib.crc32(base64.b64decode(PIXEL)):08x}"
    assert seen in ask(client, model, [{"role": "user", "content": [image]}]).content[0].text


@MODELS
@pytest.mark.parametrize(
    ("words", "raised", "kind"),
    [
        ("error=invalid", anthropic.BadRequestError, "invalid_request_error"),
        ("error=context", anthropic.BadRequestError, "invalid_request_error"),
        ("status=429", anthropic.RateLimitError, "rate_limit_error"),
        ("error=overloaded", anthropic.OverloadedError, "overloaded_error"),
        ("status=500", anthropic.InternalServerError, "api_error"),
        ("error=auth", anthropic.InternalServerError, "api_error"),
        ("fault=html", anthropic.InternalServerError, "api_error"),
        ("fault=disconnect", anthropic.InternalServerError, "api_error"),
        ("fault=empty", anthropic.InternalServerError, "api_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_the_provider_are_those_of_the_client(client, model, words, raised, kind, stream):
    with pytest.raises(raised) as caught:
        ask(client, model, script(words), stream=stream)
    assert (caught.value.body["type"], caught.value.body["error"]["type"]) == ("error", kind)
    assert SECRET not in str(caught.value) and caught.value.request_id


@MODELS
def test_what_has_no_words_there_is_refused(client, gateway, model):
    mark = gateway.mock.mark()
    search = {"type": "web_search_20250305", "name": "web_search"}
    with pytest.raises(anthropic.BadRequestError, match="tools"):
        ask(client, model, "hello", tools=[search])
    assert gateway.mock.requests(since=mark) == []


@MODELS
def test_retry_after_reaches_the_client(client, model):
    with pytest.raises(anthropic.RateLimitError) as caught:
        ask(client, model, script("status=429,retry_after=7"))
    assert caught.value.response.headers["retry-after"] == "7"


# Gemini's last frame has the reason why it ended, and is all the terminator that there is.
@MODELS
@pytest.mark.parametrize("fault", ["cut:4", "half_frame:4", "end:4", "without its end", "error_frame:4", "error_frame:0"])
def test_a_stream_that_breaks_raises(client, model, fault):
    fault = fault.replace("without its end", "no_terminator" if model == "gemini-mock" else "no_finish")
    with pytest.raises(anthropic.APIStatusError):
        final(client, model, user(script(f"fault={fault}")))


def test_a_stream_that_lacks_only_its_terminator_is_whole(client):
    assert final(client, "gpt-mock", user(script("fault=no_terminator"))).stop_reason == "end_turn"


@MODELS
def test_a_client_that_leaves_ends_the_call_of_the_provider(client, gateway, model):
    mark = gateway.mock.mark()
    stream = ask(client, model, script("chunks=1000,interval=20ms"), stream=True)
    next(iter(stream))
    stream.close()
    [arrived] = gateway.mock.requests(since=mark, ended=1)
    assert arrived["sent"]["ended"] == "client_left" and arrived["sent"]["took_us"] < 15_000_000
