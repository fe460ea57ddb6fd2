"""The unmodified clients of every API ask models at Bedrock: what they say is told in Converse and signed, what comes in binary frames is told back."""

from __future__ import annotations

import base64
import json
import zlib
from decimal import Decimal

import anthropic
import httpx
import openai
import pydantic
import pytest
import requests
from cloud_gateway import API_KEY, CLAUDE, ID, SECRET, chat, claude, gemini, user  # noqa: F401
from gateway_setup import Gateway
from google.genai import types
from mock_provider import PIXEL, WEATHER, script

TOOLS = [{"type": "function", "function": {"name": name, "parameters": WEATHER}} for name in ("weather", "history")]
CLAUDE_TOOLS = [{"name": "weather", "input_schema": WEATHER}]


class Trip(pydantic.BaseModel):
    city: str
    nights: int


def test_a_call_is_told_in_converse_and_signed(chat, clouds):
    answer = chat.chat.completions.create(model="claude", messages=[{"role": "system", "content": "be kind"}, *user("hello")], max_tokens=9)
    arrived = clouds.mock.last()
    assert arrived["target"] == "/model/us.anthropic.claude-mock-v1%3A0/converse" and arrived["model"] == CLAUDE
    body = {"messages": [{"role": "user", "content": [{"text": "hello"}]}], "system": [{"text": "be kind"}], "inferenceConfig": {"maxTokens": 9}}
    assert json.loads(arrived["body"]) == body
    assert f"Credential={ID}/" not in json.dumps(arrived) and SECRET not in json.dumps(arrived) and clouds.key not in json.dumps(arrived)
    assert answer.choices[0].message.content.startswith(f"digest={arrived['body_crc32']} messages=1")
    assert (answer.model, answer.choices[0].finish_reason) == ("claude", "stop") and answer.id


def test_an_api_key_opens_an_inference_profile(chat, clouds):
    assert chat.chat.completions.create(model="profile", messages=user("hello")).choices[0].finish_reason == "stop"
    expected = "/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A1%3Aapplication-inference-profile%2Fabc/converse"
    assert clouds.mock.last()["target"] == expected
    assert API_KEY not in json.dumps(clouds.mock.last())


@pytest.mark.parametrize("stream", [False, True])
def test_usage_counts_caches_beside_the_input_and_costs_to_the_billionth(clouds, stream):
    made = requests.post(f"{clouds.url}/api/v1/llm/keys", json={"name": "money"}, timeout=30).json()
    words = "input=1000,output=9,cached=300,cache_write=40,cache_write_1h=60"
    with anthropic.Anthropic(base_url=clouds.url, api_key=made["key"], max_retries=0) as client:
        asked = {"model": "claude", "max_tokens": 50, "messages": user(script(words))}
        if stream:
            with client.messages.stream(**asked) as events:
                usage = events.get_final_message().usage
        else:
            usage = client.messages.create(**asked).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.output_tokens) == (600, 300, 100, 9)
    spent = Decimal(requests.get(f"{clouds.url}/api/v1/llm/keys/{made['id']}", timeout=30).json()["used"]["dollars"]["total"])
    # 600 at 1, 300 at 0.1, 40 at 1.25, 60 at 2, 9 at 10 dollars for a million.
    assert spent == Decimal("0.000890000")


@pytest.mark.parametrize("framing", ["", "split=3", "split=1"])
@pytest.mark.parametrize("model", ["claude", "profile"])
def test_a_binary_stream_is_told_in_events_however_it_is_cut(chat, model, framing):
    said = script(f"chunks=5,unicode,input=50,output=7,{framing}")
    raw = chat.chat.completions.with_raw_response.create(model=model, messages=user(said), stream=True, stream_options={"include_usage": True})
    assert raw.headers["content-type"].startswith("text/event-stream")
    chunks = list(raw.parse())
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text.split(" ", 2)[2].split() == [f"🚢é{number}" for number in range(1, 5)]
    assert [(chunk.usage.prompt_tokens, chunk.usage.completion_tokens) for chunk in chunks if chunk.usage] == [(50, 7)]


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tools_their_results_and_thoughts_by_chat(chat, stream):
    messages = user(script("tools=3,thinking=2"))
    asked = {"model": "claude", "messages": messages, "tools": TOOLS, "reasoning_effort": "low"}
    if stream:
        with chat.chat.completions.stream(**asked) as events:
            choice = events.get_final_completion().choices[0]
    else:
        choice = chat.chat.completions.create(**asked).choices[0]
    calls = choice.message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "history", "weather"]
    assert all(json.loads(call.function.arguments) == {"city": "text é", "days": 1} for call in calls)
    assert choice.finish_reason == "tool_calls"
    if stream:
        return
    turn = choice.message.model_dump(exclude_none=True)
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
    again = chat.chat.completions.create(**(asked | {"messages": [*messages, turn, *results]}))
    # The provider looks at the signatures of what comes back.
    assert "messages=3" in again.choices[0].message.content


@pytest.mark.parametrize("thinking", ["thinking=2", "thinking=1,redacted"])
def test_thoughts_come_back_to_bedrock_by_messages(claude, clouds, thinking):
    asked = {"model": "claude", "max_tokens": 3000, "tools": CLAUDE_TOOLS, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    messages = user(script(f"tools=1,{thinking}"))
    with claude.messages.stream(messages=messages, **asked) as events:
        turn = events.get_final_message()
    assert turn.content[0].type == ("redacted_thinking" if "redacted" in thinking else "thinking")
    result = {"type": "tool_result", "tool_use_id": turn.content[-1].id, "content": "sunny"}
    again = claude.messages.create(messages=[*messages, {"role": "assistant", "content": turn.content}, *user([result])], **asked)
    assert "messages=3" in again.content[-1].text
    assert '"reasoningContent"' in clouds.mock.last()["body"]


def test_images_documents_cache_points_and_a_schema(chat, claude, clouds):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    document = {"type": "document", "title": "a b.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}
    blocks = [image, document, {"type": "text", "text": "look", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    seen = claude.messages.create(model="claude", max_tokens=50, messages=user(blocks))
    assert f"image={zlib.crc32(base64.b64decode(PIXEL)):08x}" in seen.content[0].text
    sent = json.loads(clouds.mock.last()["body"])["messages"][0]["content"]
    assert sent[1]["document"]["name"] == "a b" and sent[3] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    parsed = chat.chat.completions.parse(model="claude", messages=user("plan"), response_format=Trip)
    assert parsed.choices[0].message.parsed == Trip(city="text é", nights=7)


def test_responses_and_gemini_reach_bedrock(chat, gemini):
    with chat.responses.stream(model="claude", input=script("chunks=3,input=20,output=5")) as events:
        done = events.get_final_response()
    assert "word2" in done.output_text and (done.usage.input_tokens, done.usage.output_tokens) == (20, 5)
    assert "word2" in chat.responses.create(model="claude", input=script("chunks=3")).output_text
    answer = gemini.models.generate_content(model="claude", contents=script("chunks=3,input=20,output=5"))
    assert "word2" in answer.text and answer.usage_metadata.prompt_token_count == 20
    chunks = list(gemini.models.generate_content_stream(model="claude", contents=script("chunks=3")))
    assert "word2" in "".join(chunk.text or "" for chunk in chunks)
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"seed": 7}, "seed"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": user([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}])}, "messages[0].content[0]"),
        ({"tools": [{"type": "function", "function": {"name": "n" * 65, "parameters": {}}}]}, "tools[0]"),
    ],
)
def test_what_has_no_words_is_refused_by_name(chat, clouds, more, field):
    before = clouds.mock.mark()
    with pytest.raises(openai.BadRequestError) as refused:
        chat.chat.completions.create(**({"model": "claude", "messages": user("hello")} | more))
    assert refused.value.param == field and refused.value.response.headers["x-shipway-error"] == "gateway.not_translatable"
    assert clouds.mock.mark() == before


def test_what_may_be_lost_is_told(chat):
    raw = chat.chat.completions.with_raw_response.create(model="lenient", messages=user("hello"), seed=7, store=True)
    assert raw.headers["x-shipway-dropped"] == "seed, store" or set(raw.headers["x-shipway-dropped"].split(", ")) == {"seed", "store"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        ("error=rate_limit", 429, "rate_limit_exceeded"),
        ("error=context", 400, "context_length_exceeded"),
        ("error=invalid", 400, None),
        ("error=overloaded", 503, "server_is_overloaded"),
        ("error=timeout", 504, "timeout"),
        ("error=permission", 502, "upstream_error"),
    ],
)
def test_errors_are_told_in_the_callers_words(chat, words, status, code, stream):
    with pytest.raises(openai.APIStatusError) as failed:
        chat.chat.completions.create(model="claude", messages=user(script(words)), stream=stream)
    assert failed.value.status_code == status
    if code:
        assert failed.value.code == code


def test_an_exception_as_the_first_message_has_a_status(chat):
    with pytest.raises(openai.RateLimitError):
        chat.chat.completions.create(model="claude", messages=user(script("fault=error_frame:0,error=rate_limit")), stream=True)


@pytest.mark.parametrize("fault", ["cut:3", "end:3", "half_frame:3", "reset:3", "bad_checksum:3", "error_frame:3"])
def test_a_stream_that_breaks_never_ends_as_if_it_were_whole(chat, claude, gemini, fault):
    said = script(f"chunks=8,interval=1ms,fault={fault}")
    with pytest.raises(openai.APIError):
        list(chat.chat.completions.create(model="claude", messages=user(said), stream=True))
    with pytest.raises(anthropic.APIError), claude.messages.stream(model="claude", max_tokens=50, messages=user(said)) as events:
        events.get_final_message()
    with pytest.raises(Exception, match="(?s).+"):
        list(gemini.models.generate_content_stream(model="claude", contents=said))


def test_a_filter_of_bedrock_is_a_content_filter(chat, claude):
    answer = chat.chat.completions.create(model="claude", messages=user(script("filter")))
    assert answer.choices[0].finish_reason == "content_filter"
    assert claude.messages.create(model="claude", max_tokens=50, messages=user(script("filter"))).stop_reason == "refusal"


def test_a_wrong_secret_leads_to_the_next_deployment_and_is_told_to_nobody(chat):
    raw = chat.chat.completions.with_raw_response.create(model="spared", messages=user("hello"))
    assert (raw.headers["x-shipway-deployment"], raw.headers["x-shipway-attempts"]) == ("second", "2")
    with pytest.raises(openai.APIStatusError) as failed:
        chat.chat.completions.create(model="refused", messages=user("hello"))
    assert failed.value.status_code == 502 and "signature" not in failed.value.message


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_ends_the_call(clouds, stream):
    before = clouds.mock.mark()
    body = {"model": "claude", "messages": user(script("fault=stall:2" if stream else "latency=60s")), "stream": stream}
    headers = {"authorization": f"Bearer {clouds.key}"}
    with httpx.Client(timeout=httpx.Timeout(30, read=2)) as client:
        try:
            with client.stream("POST", f"{clouds.url}/v1/chat/completions", json=body, headers=headers) as answer:
                next(answer.iter_bytes())
        except httpx.ReadTimeout:
            pass
    [left] = clouds.mock.requests(since=before, ended=1)
    assert left["sent"]["ended"] == "client_left"
