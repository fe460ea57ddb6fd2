"""The provider that is played answers the unmodified `openai` client: what the gateway is tested against speaks the dialect truly."""

from __future__ import annotations

import base64
import json
import zlib

import openai
import pydantic
import pytest
from mock_provider import PIXEL, WEATHER, MockProvider, script

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": WEATHER, "strict": True}} for name in ("weather", "history")
]


class Trip(pydantic.BaseModel):
    city: str
    nights: int
    stops: list[str]


@pytest.fixture
def client(mock: MockProvider):
    with openai.OpenAI(base_url=f"{mock.url}/v1", api_key="sk-test", max_retries=0) as opened:
        yield opened


def user(said: str) -> list[dict]:
    return [{"role": "user", "content": said}]


def test_an_answer_says_which_bytes_arrived(client, mock):
    answer = client.chat.completions.create(model="gpt-mock", messages=user(script("input=100,output=9,cached=40,reasoning=3")))
    arrived = mock.last()
    digest = f"{zlib.crc32(mock.body(arrived['number'])):08x}"
    assert answer.choices[0].message.content.startswith(f"digest={digest} messages=1 word1")
    assert arrived["body_crc32"] == digest
    assert arrived["headers"]["authorization"].startswith("sha256:") and "sk-test" not in json.dumps(arrived)
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (100, 9, 109)
    assert answer.usage.prompt_tokens_details.cached_tokens == 40
    assert answer.usage.completion_tokens_details.reasoning_tokens == 3


def test_a_stream_has_the_text_of_the_whole_answer_and_usage_when_asked(client):
    asked = {"model": "gpt-mock", "messages": user(script("chunks=5")), "stream": True}
    quiet = list(client.chat.completions.create(**asked))
    assert all(chunk.usage is None and chunk.choices for chunk in quiet)
    assert [chunk.choices[0].finish_reason for chunk in quiet][-1] == "stop"
    told = list(client.chat.completions.create(**asked, stream_options={"include_usage": True}))
    assert not told[-1].choices and told[-1].usage.completion_tokens == 5
    text = "".join(choice.delta.content or "" for chunk in told for choice in chunk.choices)
    assert text.endswith(" word1 word2 word3 word4")


def test_several_choices(client):
    answer = client.chat.completions.create(model="gpt-mock", messages=user("hello"), n=3)
    assert len({choice.message.content for choice in answer.choices}) == 3
    chunks = client.chat.completions.create(model="gpt-mock", messages=user("hello"), n=3, stream=True)
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1, 2}


@pytest.mark.parametrize("words", ["tools=3", "tools=3,split=utf8", "tools=3,crlf,comments", "tools=3,multiline", "tools=3,gzip"])
def test_parallel_tools_and_their_results(client, words):
    messages = user(script(words))
    with client.chat.completions.stream(model="gpt-mock", messages=messages, tools=TOOLS) as stream:
        message = stream.get_final_completion().choices[0].message
    calls = message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "history", "weather"]
    assert all(json.loads(call.function.arguments) == {"city": "text é", "days": 1} for call in calls)
    assert len({call.id for call in calls}) == 3
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
    again = client.chat.completions.create(model="gpt-mock", messages=[*messages, message, *results], tools=TOOLS)
    assert "messages=5" in again.choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="did not have response messages"):
        client.chat.completions.create(model="gpt-mock", messages=[*messages, message, *results[:2]], tools=TOOLS)


def test_fragments_of_several_calls_may_alternate(client):
    stream = client.chat.completions.create(model="gpt-mock", messages=user(script("tools=2,interleave")), tools=TOOLS, stream=True)
    arguments: dict[int, str] = {}
    order = []
    for chunk in stream:
        for part in chunk.choices[0].delta.tool_calls or []:
            order.append(part.index)
            arguments[part.index] = arguments.get(part.index, "") + part.function.arguments
    assert order[:4] == [0, 1, 0, 1]
    assert [json.loads(text) for text in arguments.values()] == [{"city": "text é", "days": 1}] * 2


def test_a_call_without_arguments_is_the_empty_text(client):
    answer = client.chat.completions.create(model="gpt-mock", messages=user(script("tools=1,args=empty")), tools=TOOLS)
    assert answer.choices[0].message.tool_calls[0].function.arguments == ""
    forced = client.chat.completions.create(
        model="gpt-mock", messages=user("hello"), tools=TOOLS, tool_choice={"type": "function", "function": {"name": "history"}}
    )
    assert [call.function.name for call in forced.choices[0].message.tool_calls] == ["history"]


def test_structured_output(client):
    parsed = client.chat.completions.parse(model="gpt-mock", messages=user("hello"), response_format=Trip)
    assert parsed.choices[0].message.parsed == Trip(city="text é", nights=7, stops=["text é"])
    with client.chat.completions.stream(model="gpt-mock", messages=user("hello"), response_format=Trip) as stream:
        assert stream.get_final_completion().choices[0].message.parsed.nights == 7


def test_images_arrive(client):
    parts = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    answer = client.chat.completions.create(model="gpt-mock", messages=[{"role": "user", "content": parts}])
    pixel = f"{zlib.crc32(base64.b64decode(PIXEL)):08x}"
    assert f"image={pixel} image=" in answer.choices[0].message.content


def test_refusal_filter_and_length(client):
    def answer(words):
        return client.chat.completions.create(model="gpt-mock", messages=user(script(words))).choices[0]

    assert answer("refusal").message.refusal and answer("refusal").message.content is None
    assert [answer(words).finish_reason for words in ("filter", "finish=length")] == ["content_filter", "length"]


@pytest.mark.parametrize(
    ("words", "raised", "code"),
    [
        ("error=invalid", openai.BadRequestError, None),
        ("error=context", openai.BadRequestError, "context_length_exceeded"),
        ("error=content_policy", openai.BadRequestError, "content_policy_violation"),
        ("error=auth", openai.AuthenticationError, "invalid_api_key"),
        ("error=permission", openai.PermissionDeniedError, None),
        ("error=not_found", openai.NotFoundError, "model_not_found"),
        ("status=429", openai.RateLimitError, "rate_limit_exceeded"),
        ("error=quota", openai.RateLimitError, "insufficient_quota"),
        ("status=500", openai.InternalServerError, None),
        ("error=overloaded", openai.InternalServerError, None),
        ("fault=html", openai.InternalServerError, None),
    ],
)
def test_errors_are_those_of_the_client(client, words, raised, code):
    with pytest.raises(raised) as caught:
        client.chat.completions.create(model="gpt-mock", messages=user(script(words)))
    assert caught.value.code == code


def test_the_client_tries_again_when_it_is_told(mock):
    mark = mock.mark()
    mock.next("status=429,retry_after_ms=1", "status=503,retry_after_ms=1", model="gpt-again")
    with openai.OpenAI(base_url=f"{mock.url}/v1", api_key="sk-test", max_retries=2) as client:
        client.chat.completions.create(model="gpt-again", messages=user("hello"))
        mock.next("status=500,should_retry=false", model="gpt-again")
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="gpt-again", messages=user("hello"))
    assert [request["sent"]["status"] for request in mock.requests(since=mark, ended=4)] == [429, 503, 200, 500]


@pytest.mark.parametrize("fault", ["cut:3", "half_frame:2", "reset:3"])
def test_a_stream_that_is_cut_raises(client, mock, fault):
    stream = client.chat.completions.create(model="gpt-mock", messages=user(script(f"fault={fault},interval=1ms")), stream=True)
    with pytest.raises(openai.APIConnectionError):
        list(stream)
    assert mock.last()["sent"]["ended"] in ("cut", "reset")


@pytest.mark.parametrize("at", [0, 2])
def test_an_error_within_a_stream_raises(client, at):
    asked = user(script(f"fault=error_frame:{at},error=rate_limit"))
    seen = []
    with pytest.raises(openai.APIError, match="Rate limit reached"):
        for chunk in client.chat.completions.create(model="gpt-mock", messages=asked, stream=True):
            seen.append(chunk)
    assert len(seen) == at


def test_a_client_that_leaves_is_seen(client, mock):
    stream = client.chat.completions.create(model="gpt-mock", messages=user(script("chunks=1000,interval=20ms")), stream=True)
    next(iter(stream))
    stream.close()
    sent = mock.last()["sent"]
    assert sent["ended"] == "client_left" and sent["frames"] < 900


def test_completions(client):
    answer = client.completions.create(model="gpt-mock", prompt=["a", "b"])
    assert [choice.index for choice in answer.choices] == [0, 1]
    stream = client.completions.create(model="gpt-mock", prompt="a", stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    assert chunks[-1].usage.completion_tokens == 8
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices).endswith("word7")


def test_embeddings_are_equal_for_equal_texts(client):
    first = client.embeddings.create(model="embed-mock", input=["a", "b", "a"])
    vectors = [item.embedding for item in first.data]
    assert vectors[0] == vectors[2] != vectors[1] and len(vectors[0]) == 16
    plain = client.embeddings.create(model="embed-mock", input="a", dimensions=16, encoding_format="float").data[0].embedding
    assert plain == pytest.approx(vectors[0], rel=1e-6)


def test_models(client):
    assert "gpt-mock" in [model.id for model in client.models.list()]
    assert client.models.retrieve("gpt-mock").id == "gpt-mock"
