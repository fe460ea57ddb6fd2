"""The unmodified `openai` client asks models at Anthropic and at Google, by chat and by responses."""

from __future__ import annotations

import base64
import json
import zlib

import openai
import pydantic
import pytest
from gateway_setup import SECRET, Gateway
from mock_provider import PIXEL, WEATHER, script

TOOLS = [{"type": "function", "function": {"name": name, "parameters": WEATHER}} for name in ("weather", "history")]
RESPONSE_TOOLS = [{"type": "function", "name": "weather", "parameters": WEATHER}]
UPSTREAM = {"claude-mock": "/v1/messages", "gemini-mock": "/v1beta/models/gemini-upstream:generateContent"}
MODELS = pytest.mark.parametrize("model", UPSTREAM)


class Trip(pydantic.BaseModel):
    city: str
    nights: int


@pytest.fixture
def client(gateway: Gateway):
    with openai.OpenAI(base_url=gateway.openai, api_key=gateway.key, max_retries=0) as opened:
        yield opened


def user(said: str) -> list[dict]:
    return [{"role": "user", "content": said}]


@MODELS
def test_a_chat_goes_to_the_providers_model_with_the_providers_key(client, gateway, model):
    raw = client.chat.completions.with_raw_response.create(model=model, messages=user(script("input=100,output=9,cached=40")))
    answer, arrived = raw.parse(), gateway.mock.last()
    assert arrived["target"] == UPSTREAM[model] and arrived["model"] == model.replace("mock", "upstream")
    assert gateway.key not in json.dumps(arrived)
    assert answer.model == model
    assert answer.choices[0].message.content.startswith(f"digest={arrived['body_crc32']} messages=1")
    assert answer.choices[0].finish_reason == "stop"
    usage = answer.usage
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens) == (100, 40, 9)
    # 60 at 1, 40 at 0.1 and 9 at 10 dollars for a million, whichever way the provider counts.
    assert raw.headers["x-shipway-cost"] == "0.000154000"


@MODELS
@pytest.mark.parametrize("asked", [True, None])
@pytest.mark.parametrize("framing", ["", "split=utf8", "split=3", "crlf,comments", "multiline", "pings"])
def test_a_stream_has_its_usage_for_who_asks_for_it(client, model, asked, framing):
    more = {"stream_options": {"include_usage": True}} if asked else {}
    said = script(f"chunks=5,unicode,input=50,output=7,{framing}")
    chunks = list(client.chat.completions.create(model=model, messages=user(said), stream=True, **more))
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in usages] == ([(50, 7)] if asked else [])
    assert any(not chunk.choices for chunk in chunks) == bool(asked)
    choices = [choice for chunk in chunks for choice in chunk.choices]
    whole = client.chat.completions.create(model=model, messages=user(said)).choices[0].message.content
    # The bodies differ in their request to stream, so their digests do.
    assert "".join(choice.delta.content or "" for choice in choices).split(" ", 1)[1] == whole.split(" ", 1)[1]
    assert [choice.finish_reason for choice in choices][-1] == "stop"


@MODELS
@pytest.mark.parametrize("words", ["tools=3", "tools=3,split=utf8", "tools=3,crlf,comments", "tools=3,multiline"])
def test_parallel_tools_and_their_results(client, model, words):
    messages = user(script(words))
    with client.chat.completions.stream(model=model, messages=messages, tools=TOOLS) as stream:
        choice = stream.get_final_completion().choices[0]
    calls = choice.message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "history", "weather"]
    assert all(json.loads(call.function.arguments) == {"city": "text é", "days": 1} for call in calls)
    assert choice.finish_reason == "tool_calls" and len({call.id for call in calls}) == 3
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
    again = client.chat.completions.create(model=model, messages=[*messages, choice.message, *results], tools=TOOLS)
    assert "messages=3" in again.choices[0].message.content


@MODELS
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_without_arguments_has_an_empty_object(client, model, stream):
    asked = {"model": model, "messages": user(script("tools=1,args=empty")), "tools": TOOLS}
    if stream:
        with client.chat.completions.stream(**asked) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(**asked).choices[0].message
    assert message.tool_calls[0].function.arguments == "{}"


@MODELS
def test_structured_output_images_instructions_and_a_choice_of_tools(client, gateway, model):
    parsed = client.chat.completions.parse(model=model, messages=user("plan"), response_format=Trip)
    assert parsed.choices[0].message.parsed == Trip(city="text é", nights=7)
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": [{"type": "text", "text": "what?"}, image]}]
    seen = client.chat.completions.create(model=model, messages=messages)
    assert f"image={zlib.crc32(base64.b64decode(PIXEL)):08x}" in seen.choices[0].message.content
    assert "be brief" in gateway.mock.last()["body"] and "messages=1" in seen.choices[0].message.content
    choice = {"type": "function", "function": {"name": "history"}}
    chosen = client.chat.completions.create(model=model, messages=user("hello"), tools=TOOLS, tool_choice=choice)
    assert [call.function.name for call in chosen.choices[0].message.tool_calls] == ["history"]


@MODELS
@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_are_shown_and_come_back_to_who_signed_them(client, model, stream):
    messages = user(script("tools=1,thinking=2"))
    asked = {"model": model, "messages": messages, "tools": TOOLS, "reasoning_effort": "low"}
    if stream:
        with client.chat.completions.stream(**asked) as events:
            message = events.get_final_completion().choices[0].message.model_dump(exclude_none=True)
        # This client lists the fragments of what it does not know one behind the other.
        assert message["reasoning_content"].startswith("thought 0")
    else:
        message = client.chat.completions.create(**asked).choices[0].message.model_dump(exclude_none=True)
        assert message["reasoning_content"].startswith("thought 0") and message["thinking_blocks"]
    message.pop("parsed", None)
    for call in message["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sunny"}
    again = client.chat.completions.create(**{**asked, "messages": [*messages, message, result]})
    assert again.choices[0].message.content.endswith("word7")
    if model == "claude-mock":
        with pytest.raises(openai.BadRequestError, match="Expected `thinking`"):
            client.chat.completions.create(**{**asked, "messages": [*messages, {**message, "thinking_blocks": []}, result]})


@MODELS
def test_refusals_and_limits_are_reasons_of_chat(client, model):
    def reason(words, **more):
        return client.chat.completions.create(model=model, messages=user(script(words)), **more).choices[0].finish_reason

    assert reason("filter") == "content_filter"
    assert reason("finish=length", max_completion_tokens=5) == "length"


def test_what_has_no_words_there_is_refused_by_name_or_dropped_and_told(client, gateway):
    mark = gateway.mock.mark()
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="claude-mock", messages=user("hello"), seed=1)
    assert (caught.value.param, caught.value.code) == ("seed", "gateway.not_translatable")
    assert gateway.mock.requests(since=mark) == []
    raw = client.chat.completions.with_raw_response.create(model="lenient", messages=user("hello"), seed=1, store=True)
    assert set(raw.headers["x-shipway-dropped"].split(", ")) == {"max_tokens", "seed", "store"}
    assert json.loads(gateway.mock.last()["body"])["max_tokens"] == 777
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="lenient", messages=user("hello"), n=2)
    assert caught.value.param == "n"
    # Gemini has a seed.
    assert client.chat.completions.create(model="gemini-mock", messages=user("hello"), seed=1).choices


@MODELS
@pytest.mark.parametrize(
    ("words", "raised", "code"),
    [
        ("error=invalid", openai.BadRequestError, ...),
        ("error=context", openai.BadRequestError, "context_length_exceeded"),
        ("status=429", openai.RateLimitError, "rate_limit_exceeded"),
        ("status=500", openai.InternalServerError, ...),
        ("error=overloaded", openai.InternalServerError, "server_is_overloaded"),
        ("error=timeout", openai.APIStatusError, ...),
        ("fault=html", openai.InternalServerError, ...),
        ("fault=empty", openai.InternalServerError, ...),
        ("fault=disconnect", openai.InternalServerError, ...),
        ("error=auth", openai.InternalServerError, ...),
        ("error=permission", openai.InternalServerError, ...),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_the_provider_are_those_of_the_client(client, model, words, raised, code, stream):
    with pytest.raises(raised) as caught:
        client.chat.completions.create(model=model, messages=user(script(words)), stream=stream)
    assert caught.value.body and caught.value.body["message"]
    if code is not ...:
        assert caught.value.code == code
    assert SECRET not in str(caught.value) and "127.0.0.1" not in str(caught.value)


@MODELS
def test_retry_after_reaches_the_client(client, model):
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=model, messages=user(script("status=429,retry_after=7")))
    assert caught.value.response.headers["retry-after"] == "7"


# Gemini's last frame has the reason why it ended, and is all the terminator that there is.
@MODELS
@pytest.mark.parametrize("fault", ["cut:4", "half_frame:4", "reset:4", "end:4", "error_frame:4", "without its end"])
@pytest.mark.parametrize("framing", ["", "crlf", "split=utf8,unicode"])
def test_a_stream_that_breaks_raises(client, model, fault, framing):
    fault = fault.replace("without its end", "no_terminator" if model == "gemini-mock" else "no_finish")
    seen = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(model=model, messages=user(script(f"fault={fault},{framing}")), stream=True):
            seen.append(chunk)
    assert seen and not isinstance(caught.value, openai.APIConnectionError)
    assert not [choice for chunk in seen for choice in chunk.choices if choice.finish_reason]


def test_a_stream_that_lacks_only_its_terminator_is_whole(client):
    chunks = list(client.chat.completions.create(model="claude-mock", messages=user(script("fault=no_terminator")), stream=True))
    assert chunks[-1].choices[0].finish_reason == "stop"


@MODELS
def test_a_client_that_leaves_ends_the_call_of_the_provider(client, gateway, model):
    mark = gateway.mock.mark()
    answer = client.chat.completions.create(model=model, messages=user(script("chunks=1000,interval=20ms")), stream=True)
    next(iter(answer))
    answer.close()
    [arrived] = gateway.mock.requests(since=mark, ended=1)
    assert arrived["sent"]["ended"] == "client_left" and arrived["sent"]["took_us"] < 15_000_000


@MODELS
def test_a_response_and_its_events(client, model):
    said = script("input=50,output=9,cached=20")
    answer = client.responses.create(model=model, input=said, instructions="be brief", metadata={"a": "b"})
    assert answer.id.startswith("resp_") and answer.status == "completed" and answer.output_text.endswith("word7")
    assert (answer.instructions, answer.metadata, answer.model) == ("be brief", {"a": "b"}, model)
    usage = answer.usage
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens) == (50, 20, 9)
    with client.responses.stream(model=model, input=said, instructions="be brief") as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    final = events[-1].response
    assert final.output_text.split(" ", 1)[1] == answer.output_text.split(" ", 1)[1]
    assert (final.usage.output_tokens, final.instructions) == (9, "be brief")
    parsed = client.responses.parse(model=model, input="plan", text_format=Trip)
    assert parsed.output_parsed == Trip(city="text é", nights=7)


@MODELS
@pytest.mark.parametrize("stream", [False, True])
def test_tools_of_responses_and_encrypted_reasoning_come_back(client, model, stream):
    asked = [{"role": "user", "content": script("tools=2,thinking=2")}]
    more = {"model": model, "tools": RESPONSE_TOOLS, "store": False, "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]}
    if stream:
        with client.responses.stream(input=asked, **more) as events:
            first = events.get_final_response()
    else:
        first = client.responses.create(input=asked, **more)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "text é", "days": 1}] * 2
    assert [item for item in first.output if item.type == "reasoning" and item.encrypted_content]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
    output = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    assert client.responses.create(input=[*asked, *output, *results], **more).output_text.endswith("word7")


@MODELS
def test_what_lies_at_openai_cannot_be_gone_on_from_elsewhere(client, model):
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=model, input="hello", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"


@MODELS
@pytest.mark.parametrize(("words", "raised"), [("error=context", openai.BadRequestError), ("status=429", openai.RateLimitError), ("status=500", openai.InternalServerError)])
@pytest.mark.parametrize("stream", [False, True])
def test_errors_behind_responses(client, model, words, raised, stream):
    with pytest.raises(raised):
        client.responses.create(model=model, input=script(words), stream=stream)


@MODELS
@pytest.mark.parametrize("fault", ["cut:4", "end:4", "error_frame:4"])
def test_a_stream_of_responses_that_breaks_never_ends_as_if_it_were_whole(client, model, fault):
    kinds = []
    with pytest.raises(openai.APIError):
        for event in client.responses.create(model=model, input=script(f"fault={fault}"), stream=True):
            kinds.append(event.type)
    assert kinds and "response.completed" not in kinds
