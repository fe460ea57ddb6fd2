"""The provider that is played answers `google-genai` and `anthropic` in their ways to Vertex, for the access tokens that it gives out."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anthropic
import pytest
import requests
from google import genai
from google.genai import errors, types
from google.oauth2 import service_account
from mock_provider import MockProvider, program, script

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
PLACE = {"project": "mock-project", "location": "europe-west4"}


@pytest.fixture(scope="module")
def vertex() -> Iterator[MockProvider]:
    started = MockProvider(program())
    yield started
    started.stop()


@pytest.fixture
def credentials(vertex: MockProvider):
    account = requests.get(f"{vertex.url}/_mock/service_account", timeout=30).json()
    return service_account.Credentials.from_service_account_info(account, scopes=SCOPES)


def google(vertex: MockProvider, credentials) -> genai.Client:
    options = types.HttpOptions(base_url=vertex.url, retry_options=types.HttpRetryOptions(attempts=1))
    return genai.Client(vertexai=True, credentials=credentials, http_options=options, **PLACE)


def test_googles_client_fetches_a_token_and_is_answered(vertex, credentials):
    with google(vertex, credentials) as client:
        answer = client.models.generate_content(model="gemini-mock", contents=script("input=100,output=9"))
        assert answer.usage_metadata.prompt_token_count == 100
        chunks = client.models.generate_content_stream(model="gemini-mock", contents=script("chunks=3"))
        assert "word2" in "".join(chunk.text for chunk in chunks)
        assert client.models.count_tokens(model="gemini-mock", contents=script("input=7")).total_tokens == 7
        for model in ("text-embedding-005", "gemini-embedding-2"):
            # The client asks by `predict`, and for models of Gemini by `embedContent`.
            embedded = client.models.embed_content(model=model, contents="a", config={"output_dimensionality": 8})
            assert embedded.embeddings and len(embedded.embeddings[0].values) == 8
    asked = [request for request in vertex.requests() if request["target"] == "/token"]
    assert asked and "assertion=" in asked[0]["body"]


def test_anthropics_client_for_vertex_is_answered(vertex, credentials):
    with anthropic.AnthropicVertex(project_id=PLACE["project"], region=PLACE["location"], base_url=f"{vertex.url}/v1", credentials=credentials) as client:
        asked = {"model": "claude-mock@20260101", "max_tokens": 50, "messages": [{"role": "user", "content": script("output=9")}]}
        assert client.messages.create(**asked).usage.output_tokens == 9
        with client.messages.stream(**asked) as stream:
            assert stream.get_final_message().stop_reason == "end_turn"
    arrived = vertex.last()
    assert arrived["target"].endswith("/publishers/anthropic/models/claude-mock@20260101:streamRawPredict")
    assert "model" not in json.loads(arrived["body"])


def test_a_token_that_was_not_given_out_is_none(vertex, credentials):
    credentials.token = "ya29.made-up"
    headers = {"authorization": "Bearer ya29.made-up"}
    place = "/v1/projects/mock-project/locations/europe-west4/publishers/google/models/gemini-mock:generateContent"
    answer = requests.post(vertex.url + place, json={"contents": [{"parts": [{"text": "hello"}]}]}, headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_a_claim_of_another_key_is_denied(vertex, credentials):
    other = MockProvider(program())
    stranger = requests.get(f"{other.url}/_mock/service_account", timeout=30).json()
    other.stop()
    stranger["token_uri"] = f"{vertex.url}/token"
    wrong = service_account.Credentials.from_service_account_info(stranger, scopes=SCOPES)
    with google(vertex, wrong) as client, pytest.raises(Exception, match="invalid_grant") as refused:
        client.models.generate_content(model="gemini-mock", contents="hello")
    assert not isinstance(refused.value, errors.APIError)
