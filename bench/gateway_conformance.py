"""Whether the unmodified clients of OpenAI and Anthropic find behind a gateway what they find at the provider."""

from __future__ import annotations

import base64
import json
import zlib

import anthropic
import openai
import pydantic

from gateway_check import Check, NotServed, Target, expect, user
from gateway_sides import DIRECT

# One pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE = f"image={zlib.crc32(base64.b64decode(PIXEL)):08x}"
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
NAMES = ["weather", "history", "weather"]
TOOLS = [{"type": "function", "function": {"name": name, "parameters": WEATHER}} for name in ("weather", "history")]
CLAUDE_TOOLS = [{"name": name, "input_schema": WEATHER} for name in ("weather", "history")]


class Trip(pydantic.BaseModel):
    """What the structured output must be."""

    city: str
    nights: int


def _chat(target: Target) -> str:
    with target.openai() as client:
        answer = client.chat.completions.create(model=target.side.chat, messages=user("input=100,output=9,cached=40"))
    text, usage = answer.choices[0].message.content or "", answer.usage
    expect("word7" in text and answer.choices[0].finish_reason == "stop", answer)
    expect(usage and (usage.prompt_tokens, usage.completion_tokens) == (100, 9), f"usage {usage}")
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    expect(cached == 40, f"of 40 cached tokens the usage says {cached}")
    return "text, reason and usage with its cached tokens"


def _stream(target: Target) -> str:
    with target.openai() as client:
        chunks = list(client.chat.completions.create(model=target.side.chat, messages=user("chunks=20"), stream=True))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    expect(text.split()[-1] == "word19" and reasons == ["stop"], f"{reasons}: {text}")
    return f"20 words, one reason, {len(chunks)} chunks"


def _usage_hidden(target: Target) -> str:
    with target.openai() as client:
        chunks = list(client.chat.completions.create(model=target.side.chat, messages=user(""), stream=True))
    told = [chunk for chunk in chunks if chunk.usage]
    expect(not told and all(chunk.choices for chunk in chunks), f"usage came unasked: {told[:1]}" if told else "a chunk without choices came unasked")
    return "no usage in a stream that did not ask"


def _usage_shown(target: Target) -> str:
    with target.openai() as client:
        stream = client.chat.completions.create(
            model=target.side.chat, messages=user("input=100,output=9,cached=40"), stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    told = [chunk for chunk in chunks if chunk.usage]
    expect(len(told) == 1 and told[0] is chunks[-1] and not told[0].choices, f"{len(told)} chunks have usage; the last has choices {chunks[-1].choices}")
    usage = told[0].usage
    expect((usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens) == (100, 9, 40), usage)
    return "one last chunk without choices, with input, output and cached tokens"


def _tools(target: Target) -> str:
    messages = user("tools=3,interleave,split=utf8")
    with target.openai() as client:
        with client.chat.completions.stream(model=target.side.chat, messages=messages, tools=TOOLS) as stream:
            message = stream.get_final_completion().choices[0].message
        calls = message.tool_calls or []
        arguments = [json.loads(call.function.arguments) for call in calls]
        expect([call.function.name for call in calls] == NAMES and arguments == [{"city": "text é", "days": 1}] * 3, f"{calls}")
        results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
        again = client.chat.completions.create(model=target.side.chat, messages=[*messages, message, *results], tools=TOOLS)
    expect("messages=5" in (again.choices[0].message.content or ""), again)
    return "three calls in fragments that alternate, and their results"


def _structured(target: Target) -> str:
    with target.openai() as client:
        parsed = client.chat.completions.parse(model=target.side.chat, messages=user("", "plan"), response_format=Trip).choices[0].message.parsed
    expect(parsed == Trip(city="text é", nights=7), parsed)
    return "the value that the schema asks for"


def _image(target: Target) -> str:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    with target.openai() as client:
        answer = client.chat.completions.create(model=target.side.chat, messages=[{"role": "user", "content": [image]}])
    expect(IMAGE in (answer.choices[0].message.content or ""), answer)
    return "the provider had the same bytes"


def _errors(target: Target) -> str:
    wanted = {
        "error=invalid": (openai.BadRequestError, ...),
        "error=context": (openai.BadRequestError, "context_length_exceeded"),
        "status=429,retry_after=7": (openai.RateLimitError, ...),
        "status=500": (openai.InternalServerError, ...),
    }
    with target.openai() as client:
        for words, (kind, code) in wanted.items():
            try:
                client.chat.completions.create(model=target.side.chat, messages=user(words))
            except openai.APIStatusError as raised:
                expect(isinstance(raised, kind), f"{words}: {raised.status_code} {type(raised).__name__}")
                expect(code is ... or raised.code == code, f"{words}: code {raised.code}, not {code}")
                if "retry_after" in words:
                    after = raised.response.headers.get("retry-after")
                    expect(after == "7", f"retry-after is {after}, the provider's is 7")
                continue
            expect(False, f"{words}: no error")
    return "status, code and retry-after as the provider's"


def _unknown_model(target: Target) -> str:
    if target.name == DIRECT:
        raise NotServed("the provider that is played answers under every name")
    with target.openai() as client:
        try:
            client.chat.completions.create(model=target.model("nobody-knows"), messages=user(""))
        except openai.APIStatusError as raised:
            expect(raised.status_code in (400, 404), f"{raised.status_code}")
            return f"{raised.status_code}"
    expect(False, "it was answered")
    return ""


def _responses(target: Target) -> str:
    with target.openai() as client:
        try:
            first = client.responses.create(model=target.side.chat, input="hello")
        except openai.NotFoundError as absent:
            raise NotServed(f"no /v1/responses: {absent.status_code}") from absent
        second = client.responses.create(model=target.side.chat, input="and now?", previous_response_id=first.id)
        expect("messages=3" in second.output_text, f"the chain is lost: {second.output_text}")
        with client.responses.stream(model=target.side.chat, input="[[mock: input=50,cached=20]] hello") as stream:
            events = list(stream)
    expect([event.sequence_number for event in events] == list(range(len(events))), "events are not numbered in their order")
    cached = events[-1].response.usage.input_tokens_details.cached_tokens
    expect(events[-1].type == "response.completed" and cached == 20, f"it ends with {events[-1].type}, {cached} cached tokens")
    return "created, chained, streamed with usage"


def _untouched(target: Target) -> str:
    mark = target.journal.mark()
    with target.openai() as client:
        client.chat.completions.create(model=target.side.chat, messages=user(""), extra_body={"not_known_yet": {"a": [1, 2.5]}})
    body = json.loads(target.journal.requests(since=mark, ended=1)[0]["body"])
    expect(body.get("not_known_yet") == {"a": [1, 2.5]}, f"the provider had {', '.join(body)}")
    return "a member that the gateway cannot know reaches the provider"


def _claude(target: Target) -> str:
    with target.anthropic() as client:
        _anthropic_served(target, client)
        answer = client.messages.create(model=target.side.claude, max_tokens=100, messages=user("input=100,cached=40,cache_write=20,output=9"))
        usage = answer.usage
        seen = (usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.output_tokens)
        expect(answer.stop_reason == "end_turn" and "word7" in answer.content[0].text, answer)
        expect(seen == (40, 20, 9), f"cache read, cache written, output: {seen}")
        counted = client.messages.count_tokens(model=target.side.claude, messages=user("")).input_tokens
    expect(counted > 0, f"{counted} tokens counted")
    return "text, reason, usage with both parts of the cache; count_tokens"


def _claude_stream(target: Target) -> str:
    with target.anthropic() as client:
        _anthropic_served(target, client)
        with client.messages.stream(model=target.side.claude, max_tokens=100, messages=user("chunks=20,input=100,cached=40,output=9,pings")) as stream:
            message = stream.get_final_message()
    expect(message.content[0].text.split()[-1] == "word19" and message.usage.output_tokens == 9, message)
    return "20 words and the usage"


def _claude_tools(target: Target) -> str:
    messages = user("tools=3")
    with target.anthropic() as client:
        _anthropic_served(target, client)
        with client.messages.stream(model=target.side.claude, max_tokens=100, messages=messages, tools=CLAUDE_TOOLS) as stream:
            message = stream.get_final_message()
        calls = [block for block in message.content if block.type == "tool_use"]
        expect([call.name for call in calls] == NAMES and all(call.input == {"city": "text é", "days": 1} for call in calls), calls)
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
        more = [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
        again = client.messages.create(model=target.side.claude, max_tokens=100, messages=[*messages, *more], tools=CLAUDE_TOOLS)
    expect("messages=3" in again.content[0].text, again)
    return "three calls, and their results"


def _claude_thoughts(target: Target) -> str:
    messages, more = user("thinking=3", "think"), {"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000}}
    with target.anthropic() as client:
        _anthropic_served(target, client)
        first = client.messages.create(model=target.side.claude, messages=messages, **more)
        kinds = [block.type for block in first.content]
        expect("thinking" in kinds and first.content[0].signature, f"{kinds}")
        onward = [*messages, {"role": "assistant", "content": first.content}, {"role": "user", "content": "and now?"}]
        again = client.messages.create(model=target.side.claude, messages=onward, **more)
    expect(again.content[-1].text, again)
    return "signed thoughts go back unchanged; the provider checks them"


def _claude_image(target: Target) -> str:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    with target.anthropic() as client:
        _anthropic_served(target, client)
        answer = client.messages.create(model=target.side.claude, max_tokens=100, messages=[{"role": "user", "content": [image]}])
    expect(IMAGE in answer.content[0].text, answer)
    return "the provider had the same bytes"


def _claude_errors(target: Target) -> str:
    wanted = {"error=invalid": (400, "invalid_request_error"), "status=429,retry_after=7": (429, "rate_limit_error"), "error=overloaded": (529, "overloaded_error")}
    with target.anthropic() as client:
        _anthropic_served(target, client)
        for words, (status, kind) in wanted.items():
            try:
                client.messages.create(model=target.side.claude, max_tokens=100, messages=user(words))
            except anthropic.APIStatusError as raised:
                body = raised.body if isinstance(raised.body, dict) else {}
                said = (raised.status_code, (body.get("error") or {}).get("type"))
                expect(said == (status, kind), f"{words}: {said}")
                continue
            expect(False, f"{words}: no error")
    return "status and type as the provider's"


def _anthropic_served(target: Target, client: anthropic.Anthropic) -> None:
    try:
        client.messages.create(model=target.side.claude, max_tokens=10, messages=user(""))
    except anthropic.NotFoundError as absent:
        raise NotServed(f"no /v1/messages: {absent.status_code}") from absent


CHECKS: dict[str, Check] = {
    "openai: chat, usage with cached tokens": _chat,
    "openai: stream": _stream,
    "openai: usage stays out of a stream that did not ask": _usage_hidden,
    "openai: usage of a stream that asked, as the API has it": _usage_shown,
    "openai: parallel tools, streamed, and their results": _tools,
    "openai: structured output": _structured,
    "openai: image": _image,
    "openai: errors": _errors,
    "openai: a model that is not there": _unknown_model,
    "openai: responses, chained and streamed": _responses,
    "openai: what the gateway does not know": _untouched,
    "anthropic: messages, usage of the cache, count_tokens": _claude,
    "anthropic: stream": _claude_stream,
    "anthropic: parallel tools, streamed, and their results": _claude_tools,
    "anthropic: thoughts that go back": _claude_thoughts,
    "anthropic: image": _claude_image,
    "anthropic: errors": _claude_errors,
}
