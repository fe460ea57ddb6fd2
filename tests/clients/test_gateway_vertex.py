"""The unmodified clients ask models at Vertex: bytes of Gemini's and of Anthropic's API pass, and access tokens come by themselves."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from cloud_gateway import chat, claude, gemini, user  # noqa: F401
from gateway_setup import Gateway
from mock_provider import WEATHER, script

GEMINI = "/v1/projects/mock-project/locations/europe-west4/publishers/google/models/gemini-upstream"
CLAUDE = "/v1/projects/mock-project/locations/europe-west4/publishers/anthropic/models/claude-upstream@20260101"


def test_bytes_of_gemini_pass(gemini, clouds):
    answer = gemini.models.generate_content(model="gemini", contents=script("input=100,output=9"))
    arrived = clouds.mock.last()
    assert arrived["target"] == f"{GEMINI}:generateContent" and answer.usage_metadata.prompt_token_count == 100
    assert answer.text.startswith(f"digest={arrived['body_crc32']}")
    chunks = list(gemini.models.generate_content_stream(model="gemini", contents=script("chunks=3")))
    assert "word2" in "".join(chunk.text for chunk in chunks)
    assert clouds.mock.last()["target"] == f"{GEMINI}:streamGenerateContent?alt=sse"
    assert gemini.models.count_tokens(model="gemini", contents=script("input=7")).total_tokens == 7
    assert clouds.mock.last()["target"] == f"{GEMINI}:countTokens"


def test_bytes_of_messages_pass_but_for_the_model_and_the_version(claude, clouds):
    asked = {"model": "opus", "max_tokens": 50, "messages": user(script("input=100,output=9")), "metadata": {"user_id": "u"}}
    answer = claude.messages.create(**asked)
    arrived = clouds.mock.last()
    assert arrived["target"] == f"{CLAUDE}:rawPredict" and answer.usage.input_tokens == 100
    del asked["model"]
    assert json.loads(arrived["body"]) == {"anthropic_version": "vertex-2023-10-16", **asked}
    with claude.messages.stream(model="opus", max_tokens=50, messages=user("hello")) as events:
        assert events.get_final_message().stop_reason == "end_turn"
    assert clouds.mock.last()["target"] == f"{CLAUDE}:streamRawPredict"
    counted = claude.messages.count_tokens(model="opus", messages=user(script("input=7")))
    assert counted.input_tokens == 7
    assert clouds.mock.last()["target"].endswith("/publishers/anthropic/models/count-tokens:rawPredict")
    assert json.loads(clouds.mock.last()["body"])["model"] == "claude-upstream@20260101"


@pytest.mark.parametrize("model", ["gemini", "opus"])
@pytest.mark.parametrize("stream", [False, True])
def test_chat_is_translated(chat, model, stream):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    messages = user(script("tools=2,input=100,output=9,cached=40"))
    asked = {"model": model, "messages": messages, "tools": tools}
    if stream:
        with chat.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
            answer = events.get_final_completion()
    else:
        raw = chat.chat.completions.with_raw_response.create(**asked)
        answer = raw.parse()
        assert raw.headers["x-shipway-cost"] == "0.000154000"
    assert (answer.usage.prompt_tokens, answer.usage.prompt_tokens_details.cached_tokens, answer.usage.completion_tokens) == (100, 40, 9)
    turn = answer.choices[0].message
    assert [json.loads(call.function.arguments) for call in turn.tool_calls] == [{"city": "text é", "days": 1}] * 2
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in turn.tool_calls]
    again = chat.chat.completions.create(model=model, messages=[*messages, turn.model_dump(exclude_none=True), *results], tools=tools)
    assert "messages=3" in again.choices[0].message.content


def test_errors_and_streams_that_break(chat, gemini):
    with pytest.raises(openai.RateLimitError):
        chat.chat.completions.create(model="gemini", messages=user(script("error=rate_limit")))
    with pytest.raises(openai.APIError):
        list(chat.chat.completions.create(model="opus", messages=user(script("fault=cut:4,interval=1ms")), stream=True))
    with pytest.raises(Exception, match="(?s).+"):
        list(gemini.models.generate_content_stream(model="gemini", contents=script("fault=cut:2,interval=1ms")))


def tokens(clouds: Gateway, since: int) -> list[dict]:
    return [request for request in clouds.mock.requests(since=since) if request["target"] == "/token"]


def test_a_token_that_is_not_taken_is_fetched_anew_once_for_all_who_wait(clouds):
    def ask(_: int) -> str:
        with openai.OpenAI(base_url=clouds.openai, api_key=clouds.key, max_retries=0) as client:
            return client.chat.completions.create(model="gemini", messages=user("hello")).choices[0].finish_reason

    # What is said to be no token is forgotten.
    clouds.mock.next("status=401", model="gemini-upstream")
    with pytest.raises(openai.APIStatusError), openai.OpenAI(base_url=clouds.openai, api_key=clouds.key, max_retries=0) as client:
        client.chat.completions.create(model="gemini", messages=user("hello"))
    before = clouds.mock.mark()
    clouds.mock.next("latency=300ms", model="token")
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == ["stop"] * 8
    assert len(tokens(clouds, before)) == 1


def test_tokens_are_renewed_while_calls_go_on(chat, clouds):
    before = clouds.mock.mark()
    # They hold for six seconds here; as many calls as it takes until two were fetched.
    while len(tokens(clouds, before)) < 2:
        assert chat.chat.completions.create(model="gemini", messages=user("hello")).choices[0].finish_reason == "stop"
        assert clouds.mock.mark() < before + 100_000


def test_who_gets_no_token_is_passed_over_and_why_is_told_to_nobody(chat, clouds):
    raw = chat.chat.completions.with_raw_response.create(model="fallback", messages=user("hello"))
    assert (raw.headers["x-shipway-deployment"], raw.headers["x-shipway-attempts"]) == ("second", "2")
    clouds.mock.next("status=401", model="gemini-upstream")
    with pytest.raises(openai.APIStatusError):
        chat.chat.completions.create(model="gemini", messages=user("hello"))
    clouds.mock.next("status=500", model="token")
    with pytest.raises(openai.APIStatusError) as failed:
        chat.chat.completions.create(model="gemini", messages=user("hello"))
    assert failed.value.status_code == 502
    assert chat.chat.completions.create(model="gemini", messages=user("hello")).choices[0].finish_reason == "stop"
