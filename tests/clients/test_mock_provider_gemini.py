"""The provider that is played answers the unmodified `google-genai` client."""

from __future__ import annotations

import base64

import pydantic
import pytest
import requests
from google import genai
from google.genai import errors, types
from mock_provider import PIXEL, MockProvider, script


class Trip(pydantic.BaseModel):
    city: str
    nights: int


TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather", parameters=types.Schema(type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)})
        )
    ]
)


@pytest.fixture
def client(mock: MockProvider):
    options = types.HttpOptions(base_url=mock.url, retry_options=types.HttpRetryOptions(attempts=1))
    with genai.Client(api_key="key-test", http_options=options) as opened:
        yield opened


def ask(client, contents, **config):
    return client.models.generate_content(model="gemini-mock", contents=contents, config=types.GenerateContentConfig(**config))


def test_an_answer_and_its_stream_say_the_same(client):
    said = script("input=100,output=9,cached=40,reasoning=3")
    answer = ask(client, said)
    chunks = list(client.models.generate_content_stream(model="gemini-mock", contents=said, config=types.GenerateContentConfig()))
    assert "".join(chunk.text for chunk in chunks) == answer.text
    assert [chunk.candidates[0].finish_reason for chunk in chunks][-1] == types.FinishReason.STOP
    for usage in (answer.usage_metadata, chunks[-1].usage_metadata):
        # What is said has no thoughts in it, and what was cached is in the prompt.
        assert (usage.prompt_token_count, usage.cached_content_token_count) == (100, 40)
        assert (usage.candidates_token_count, usage.thoughts_token_count, usage.total_token_count) == (6, 3, 109)
    counts = [chunk.usage_metadata.candidates_token_count for chunk in chunks]
    assert counts == sorted(counts)


def test_tools_are_called_and_their_signatures_come_back(client):
    config = {"tools": [TOOL], "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True)}
    asked = types.Content(role="user", parts=[types.Part(text=script("tools=2,thinking=1"))])
    answer = ask(client, [asked], **config)
    assert [(call.name, call.args) for call in answer.function_calls] == [("weather", {"city": "text é"})] * 2
    turn = answer.candidates[0].content
    results = [types.Part.from_function_response(name=call.name, response={"sky": "blue"}) for call in answer.function_calls]
    back = types.Content(role="user", parts=results)
    assert "messages=3" in ask(client, [asked, turn, back], **config).text
    next(part for part in turn.parts if part.function_call).thought_signature = b"changed"
    with pytest.raises(errors.ClientError, match="thought_signature"):
        ask(client, [asked, turn, back], **config)


def test_structure_images_and_filters(client):
    parsed = ask(client, "plan", response_mime_type="application/json", response_schema=Trip).parsed
    assert parsed == Trip(city="text é", nights=7)
    image = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
    assert "image=" in ask(client, [image, "what is this?"]).text
    assert ask(client, script("filter")).candidates[0].finish_reason == types.FinishReason.SAFETY
    assert ask(client, script("finish=length")).candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


@pytest.mark.parametrize(
    ("words", "raised", "code", "status"),
    [
        ("error=context", errors.ClientError, 400, "INVALID_ARGUMENT"),
        ("status=429,retry_after=1", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("error=overloaded", errors.ServerError, 503, "UNAVAILABLE"),
    ],
)
def test_errors_are_those_of_the_client(client, words, raised, code, status):
    with pytest.raises(raised) as caught:
        ask(client, script(words))
    assert (caught.value.code, caught.value.status) == (code, status)


def test_tokens_are_counted_and_texts_embedded(client):
    assert client.models.count_tokens(model="gemini-mock", contents=script("input=321")).total_tokens == 321
    embeddings = client.models.embed_content(model="embed-mock", contents=["a", "b", "a"]).embeddings
    assert embeddings[0].values == embeddings[2].values != embeddings[1].values


def test_a_batch_is_of_one_model_and_of_a_hundred_contents(client, mock):
    with pytest.raises(errors.ClientError, match="at most 100"):
        client.models.embed_content(model="embed-mock", contents=["a"] * 101)
    place = f"{mock.url}/v1beta/models/embed-mock"
    content = {"parts": [{"text": "a"}]}
    wrong = requests.post(f"{place}:batchEmbedContents", json={"requests": [{"model": "models/other", "content": content}]}, timeout=30)
    assert wrong.status_code == 400 and "not the model of the batch" in wrong.text
    one = requests.post(f"{place}:embedContent", json={"content": content, "outputDimensionality": 8}, timeout=30).json()
    assert len(one["embedding"]["values"]) == 8 and one["usageMetadata"]["promptTokenCount"] == 1
    within = {"model": "models/embed-mock", "contents": [content], "systemInstruction": content}
    counted = requests.post(f"{place}:countTokens", json={"generateContentRequest": within}, timeout=30).json()
    assert counted["totalTokens"] > 0
