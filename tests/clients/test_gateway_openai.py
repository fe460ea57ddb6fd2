"""The unmodified `openai` client through the gateway, to a provider that speaks the same."""

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


class Trip(pydantic.BaseModel):
    city: str
    nights: int


@pytest.fixture
def client(gateway: Gateway):
    with openai.OpenAI(base_url=gateway.openai, api_key=gateway.key, max_retries=0) as opened:
        yield opened


def user(said: str) -> list[dict]:
    return [{"role": "user", "content": said}]


def test_a_chat_goes_to_the_providers_model_with_the_providers_key(client, gateway):
    answer = client.chat.completions.create(model="gpt-mock", messages=user(script("input=100,output=9,cached=40")))
    arrived = gateway.mock.last()
    assert arrived["model"] == "gpt-upstream" and arrived["target"] == "/v1/chat/completions"
    assert gateway.key not in json.dumps(arrived)
    assert answer.choices[0].message.content.startswith(f"digest={arrived['body_crc32']} messages=1")
    usage = answer.usage
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens) == (100, 40, 9)


def test_raw_headers_say_which_call_it_was_and_what_it_cost(client):
    raw = client.chat.completions.with_raw_response.create(model="gpt-mock", messages=user(script("input=100,output=9,cached=40")))
    assert raw.headers["x-shipway-call"] and raw.headers["x-upstream-x-request-id"].startswith("req_mock_")
    # 60 at 1, 40 at 0.1 and 9 at 10 dollars for a million.
    assert float(raw.headers["x-shipway-cost"]) == pytest.approx(154e-6)


@pytest.mark.parametrize("asked", [True, False, None])
def test_usage_of_a_stream_comes_to_who_asks_for_it(client, gateway, asked):
    more = {} if asked is None else {"stream_options": {"include_usage": asked}}
    stream = client.chat.completions.create(model="gpt-mock", messages=user(script("chunks=5")), stream=True, **more)
    chunks = list(stream)
    assert json.loads(gateway.mock.last()["body"])["stream_options"]["include_usage"] is True
    assert any(not chunk.choices for chunk in chunks) == bool(asked)
    assert any(chunk.usage for chunk in chunks) == bool(asked)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text.endswith(" word1 word2 word3 word4")
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"


@pytest.mark.parametrize("words", ["tools=3", "tools=3,split=utf8", "tools=3,crlf,comments", "tools=3,multiline", "tools=3,usage=merged"])
def test_parallel_tools_and_their_results(client, words):
    messages = user(script(words))
    with client.chat.completions.stream(model="gpt-mock", messages=messages, tools=TOOLS) as stream:
        message = stream.get_final_completion().choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["weather", "history", "weather"]
    assert all(json.loads(call.function.arguments) == {"city": "text é", "days": 1} for call in message.tool_calls)
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in message.tool_calls]
    again = client.chat.completions.create(model="gpt-mock", messages=[*messages, message, *results], tools=TOOLS)
    assert "messages=5" in again.choices[0].message.content


def test_structured_output_images_and_several_choices(client):
    parsed = client.chat.completions.parse(model="gpt-mock", messages=user("plan"), response_format=Trip)
    assert parsed.choices[0].message.parsed == Trip(city="text é", nights=7)
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    seen = client.chat.completions.create(model="gpt-mock", messages=[{"role": "user", "content": [image]}])
    assert f"image={zlib.crc32(base64.b64decode(PIXEL)):08x}" in seen.choices[0].message.content
    assert len(client.chat.completions.create(model="gpt-mock", messages=user("hello"), n=3).choices) == 3


def test_what_the_gateway_does_not_know_reaches_the_provider(client, gateway):
    client.chat.completions.create(model="gpt-mock", messages=user("hello"), extra_body={"not_known_yet": {"a": [1, 2.50]}})
    assert '"not_known_yet":{"a":[1,2.5]}' in gateway.mock.last()["body"].replace(" ", "")


@pytest.mark.parametrize(
    ("words", "raised", "code"),
    [
        ("error=invalid", openai.BadRequestError, None),
        ("error=context", openai.BadRequestError, "context_length_exceeded"),
        ("error=content_policy", openai.BadRequestError, "content_policy_violation"),
        ("status=429", openai.RateLimitError, "rate_limit_exceeded"),
        ("status=500", openai.InternalServerError, ...),
        ("error=overloaded", openai.InternalServerError, ...),
        ("error=timeout", openai.APIStatusError, ...),
        ("fault=html", openai.InternalServerError, ...),
        ("fault=garbage", openai.InternalServerError, ...),
        ("fault=empty", openai.InternalServerError, ...),
        ("fault=disconnect", openai.InternalServerError, ...),
        ("fault=cut", openai.InternalServerError, ...),
        # What is wrong between gateway and provider is not the client's doing, nor its business.
        ("error=auth", openai.InternalServerError, ...),
        ("error=permission", openai.InternalServerError, ...),
        ("error=quota", openai.APIStatusError, ...),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_the_provider_are_those_of_the_client(client, words, raised, code, stream):
    if stream and words in ("fault=garbage", "fault=cut"):
        pytest.skip("of whole answers only; streams have tests of their own")
    with pytest.raises(raised) as caught:
        client.chat.completions.create(model="gpt-mock", messages=user(script(words)), stream=stream)
    assert caught.value.body and caught.value.body["message"]
    if code is not ...:
        assert caught.value.code == code
    assert SECRET not in str(caught.value) and "127.0.0.1" not in str(caught.value)


def test_retry_after_reaches_the_client(client, gateway):
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-mock", messages=user(script("status=429,retry_after=7")))
    assert caught.value.response.headers["retry-after"] == "7"
    mark = gateway.mock.mark()
    gateway.mock.next("status=429,retry_after_ms=1", model="gpt-upstream")
    client.with_options(max_retries=1).chat.completions.create(model="gpt-mock", messages=user("hello"))
    assert [request["sent"]["status"] for request in gateway.mock.requests(since=mark, ended=2)] == [429, 200]


def test_keys_and_models_that_are_not_there(client, gateway):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-none", messages=user("hello"))
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="shipway_llm_wrong").chat.completions.create(model="gpt-mock", messages=user("hello"))
    narrow = client.with_options(api_key=gateway.new_key("narrow", models=["chat"]))
    assert narrow.chat.completions.create(model="gpt-mock", messages=user("hello")).choices
    with pytest.raises(openai.PermissionDeniedError):
        narrow.chat.completions.create(model="guarded", messages=user("hello"))
    names = [model.id for model in narrow.models.list()]
    assert "gpt-mock" in names and "guarded" not in names
    assert client.models.retrieve("gpt-mock").id == "gpt-mock"


def test_completions_and_embeddings(client):
    answer = client.completions.create(model="gpt-mock", prompt=["a", "b"])
    assert [choice.index for choice in answer.choices] == [0, 1]
    chunks = list(client.completions.create(model="gpt-mock", prompt="a", stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.completion_tokens == 8
    vectors = [item.embedding for item in client.embeddings.create(model="embed-mock", input=["a", "b", "a"]).data]
    assert vectors[0] == vectors[2] != vectors[1]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_call_of_the_provider(client, gateway, stream):
    mark = gateway.mock.mark()
    if stream:
        answer = client.chat.completions.create(model="gpt-mock", messages=user(script("chunks=1000,interval=20ms")), stream=True)
        next(iter(answer))
        answer.close()
    else:
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.3).chat.completions.create(model="gpt-mock", messages=user(script("latency=60s")))
    [arrived] = gateway.mock.requests(since=mark, ended=1)
    assert arrived["sent"]["ended"] == "client_left" and arrived["sent"]["took_us"] < 15_000_000


def test_another_deployment_answers_when_the_first_fails(client, gateway):
    for words in ("status=500", "status=429", "error=auth", "fault=disconnect", "fault=error_frame:0"):
        mark = gateway.mock.mark()
        gateway.mock.next(words, model="spared-first")
        stream = client.chat.completions.create(model="spared", messages=user("hello"), stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream).endswith("word7"), words
        tried = [request["model"] for request in gateway.mock.requests(since=mark, ended=2)]
        assert tried == ["spared-first", "spared-second"], words


def test_a_deployment_is_tried_again_as_often_as_the_model_says(client, gateway):
    mark = gateway.mock.mark()
    gateway.mock.next("status=503", "fault=disconnect", model="patient-upstream")
    assert client.chat.completions.create(model="patient", messages=user("hello")).choices
    assert len(gateway.mock.requests(since=mark, ended=3)) == 3
