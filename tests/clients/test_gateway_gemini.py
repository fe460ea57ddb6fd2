"""The unmodified `google-genai` client asks models at Google, at OpenAI and at Anthropic."""

from __future__ import annotations

import base64
import json
import zlib

import pydantic
import pytest
import requests
from gateway_setup import SECRET, Gateway, raw_post
from google import genai
from google.genai import errors, types
from mock_provider import PIXEL, script

UPSTREAM = {
    "gemini-mock": "/v1beta/models/gemini-upstream:generateContent",
    "gpt-mock": "/v1/chat/completions",
    "claude-mock": "/v1/messages",
}
MODELS = pytest.mark.parametrize("model", UPSTREAM)
ACROSS = pytest.mark.parametrize("model", ["gpt-mock", "claude-mock"])
CITY = types.Schema(type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}, required=["city"])
TOOL = types.Tool(function_declarations=[types.FunctionDeclaration(name=name, parameters=CITY) for name in ("weather", "history")])
BY_HAND = types.AutomaticFunctionCallingConfig(disable=True)


class Trip(pydantic.BaseModel):
    city: str
    nights: int


@pytest.fixture
def client(gateway: Gateway):
    options = types.HttpOptions(base_url=gateway.url, retry_options=types.HttpRetryOptions(attempts=1))
    with genai.Client(api_key=gateway.key, http_options=options) as opened:
        yield opened


def ask(client, model, contents, **config):
    return client.models.generate_content(model=model, contents=contents, config=types.GenerateContentConfig(**config))


def stream(client, model, contents, **config):
    return client.models.generate_content_stream(model=model, contents=contents, config=types.GenerateContentConfig(**config))


@MODELS
def test_content_goes_to_the_providers_model_with_the_providers_key(client, gateway, model):
    answer = ask(client, model, script("input=100,output=9,cached=40"), system_instruction="be brief", max_output_tokens=99)
    arrived = gateway.mock.last()
    assert arrived["target"] == UPSTREAM[model] and arrived["model"] == model.replace("mock", "upstream")
    assert gateway.key not in json.dumps(arrived) and "be brief" in arrived["body"] and "99" in arrived["body"]
    assert answer.text.startswith(f"digest={arrived['body_crc32']} ")
    usage = answer.usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count, usage.candidates_token_count) == (100, 40, 9)
    assert usage.total_token_count == 109
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP


@MODELS
@pytest.mark.parametrize("framing", ["", "split=utf8", "split=3", "crlf,comments", "multiline", "pings"])
def test_a_stream_says_the_same_and_has_its_usage(client, model, framing):
    said = script(f"input=100,output=9,cached=40,reasoning=3,unicode,{framing}")
    chunks = list(stream(client, model, said))
    text = "".join(chunk.text or "" for chunk in chunks)
    assert text.split(" ", 1)[1] == ask(client, model, said).text.split(" ", 1)[1]
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    usage = chunks[-1].usage_metadata
    assert (usage.prompt_token_count, usage.total_token_count) == (100, 109)
    # Anthropic does not say which of its output were thoughts.
    assert usage.candidates_token_count == (9 if model == "claude-mock" else 6)


@MODELS
@pytest.mark.parametrize("is_stream", [False, True])
def test_parallel_tools_and_their_results_and_signatures(client, model, is_stream):
    config = {"tools": [TOOL], "automatic_function_calling": BY_HAND, "thinking_config": types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)}
    asked = types.Content(role="user", parts=[types.Part(text=script("tools=2,thinking=2"))])
    if is_stream:
        parts = [part for chunk in stream(client, model, [asked], **config) for part in chunk.candidates[0].content.parts or []]
    else:
        parts = ask(client, model, [asked], **config).candidates[0].content.parts
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.args) for call in calls] == [(name, {"city": "text é"}) for name in ("weather", "history")]
    assert [part for part in parts if part.thought and part.text.startswith("thought 0")]
    results = [types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"sky": "blue"})) for call in calls]
    turn = [asked, types.Content(role="model", parts=parts), types.Content(role="user", parts=results)]
    assert ask(client, model, turn, **config).text.endswith("word7")
    if model == "claude-mock":
        # What Anthropic signed went home: without it, it refuses.
        bare = types.Content(role="model", parts=[part for part in parts if not part.thought and not part.thought_signature])
        with pytest.raises(errors.ClientError, match="Expected `thinking`"):
            ask(client, model, [asked, bare, turn[2]], **config)


@MODELS
def test_functions_are_called_by_the_client_itself(client, model):
    """The client's own loop: it calls, gives back what came of it, and asks again."""
    called = []

    def weather(city: str) -> str:
        """The weather of a city."""
        called.append(city)
        return "sunny"

    answer = ask(client, model, script("tools=1"), tools=[weather])
    assert called == ["text é"] and answer.text.endswith("word7")


@MODELS
def test_structured_output_images_and_chats(client, model):
    assert ask(client, model, "plan", response_mime_type="application/json", response_schema=Trip).parsed == Trip(city="text é", nights=7)
    image = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
    assert f"image={zlib.crc32(base64.b64decode(PIXEL)):08x}" in ask(client, model, [image, "what is this?"]).text
    chat = client.chats.create(model=model)
    chat.send_message("hello")
    assert "messages=3" in chat.send_message("and now?").text


@MODELS
def test_bytes_that_base64_writes_otherwise_arrive(client, model):
    """Google's clients write the alphabet of addresses."""
    data = bytes(range(256)) * 3 + b"\xfb\xff\xfe"
    image = types.Part.from_bytes(data=data, mime_type="image/png")
    assert f"image={zlib.crc32(data):08x}" in ask(client, model, [image]).text


@MODELS
@pytest.mark.parametrize(
    ("words", "raised", "code", "status"),
    [
        ("error=context", errors.ClientError, 400, "INVALID_ARGUMENT"),
        ("status=429", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("error=overloaded", errors.ServerError, 503, "UNAVAILABLE"),
        ("status=500", errors.ServerError, 502, "INTERNAL"),
        ("error=auth", errors.ServerError, 502, "INTERNAL"),
        ("fault=html", errors.ServerError, 502, "INTERNAL"),
        ("fault=disconnect", errors.ServerError, 502, "INTERNAL"),
        ("fault=empty", errors.ServerError, 502, "INTERNAL"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_errors_are_those_of_the_client(client, model, words, raised, code, status, is_stream):
    with pytest.raises(raised) as caught:
        if is_stream:
            list(stream(client, model, script(words)))
        else:
            ask(client, model, script(words))
    assert (caught.value.code, caught.value.status) == (code, status)
    assert SECRET not in str(caught.value)


# Gemini's last frame has the reason why it ended, and is all the terminator that there is.
@MODELS
@pytest.mark.parametrize("fault", ["cut:4", "half_frame:4", "end:4", "error_frame:4", "without its end"])
def test_a_stream_that_breaks_raises(client, model, fault):
    fault = fault.replace("without its end", "no_terminator" if model == "gemini-mock" else "no_finish")
    seen = []
    with pytest.raises(errors.APIError):
        for chunk in stream(client, model, script(f"fault={fault}")):
            seen.append(chunk)
    assert seen and not [chunk for chunk in seen if chunk.candidates and chunk.candidates[0].finish_reason]


@ACROSS
def test_what_has_no_words_there_is_refused_by_name(client, gateway, model):
    mark = gateway.mock.mark()
    search = types.Tool(google_search=types.GoogleSearch())
    with pytest.raises(errors.ClientError, match="tools"):
        ask(client, model, "hello", tools=[search])
    with pytest.raises(errors.ClientError, match="candidateCount"):
        ask(client, model, "hello", candidate_count=2)
    assert gateway.mock.requests(since=mark) == []


def test_tokens_are_counted_by_who_has_the_model(client):
    assert client.models.count_tokens(model="gemini-mock", contents=script("input=321")).total_tokens == 321


def test_models_are_those_of_the_key(client, gateway):
    assert {"models/gemini-mock", "models/gpt-mock", "models/claude-mock"} <= {model.name for model in client.models.list()}
    assert client.models.get(model="gpt-mock").name == "models/gpt-mock"
    with pytest.raises(errors.ClientError) as caught:
        ask(client, "gemini-none", "hello")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    narrow = gateway.new_key("narrow gemini", models=["gemini"])
    options = types.HttpOptions(base_url=gateway.url)
    with genai.Client(api_key=narrow, http_options=options) as other:
        assert {model.name for model in other.models.list()} == {"models/gemini", "models/gemini-mock"}
        with pytest.raises(errors.ClientError) as caught:
            ask(other, "gpt-mock", "hello")
    assert caught.value.code == 403


@pytest.mark.parametrize("shown", ["x-goog-api-key", "authorization", "query"])
def test_bytes_pass_and_the_key_may_come_in_any_way(gateway, shown):
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": script("unicode")}]}], "zz": 1.50}).encode()
    headers = {"x-goog-api-key": gateway.key} if shown == "x-goog-api-key" else {}
    if shown == "authorization":
        headers = {"authorization": f"Bearer {gateway.key}"}
    key = f"&key={gateway.key}" if shown == "query" else ""
    path = f"/v1beta/models/gemini-mock:streamGenerateContent?alt=sse{key}"
    through = raw_post(gateway.url, path, body, headers)
    arrived = gateway.mock.last()
    assert gateway.mock.body(arrived["number"]) == body and gateway.key not in json.dumps(arrived)
    direct = raw_post(gateway.mock.url, arrived["target"], body, {"x-goog-api-key": SECRET})
    assert (through.status, through.body) == (200, direct.body)


def test_what_is_no_key_is_refused_in_the_words_of_google(gateway):
    asked = {"contents": [{"parts": [{"text": "hello"}]}]}
    refused = requests.post(f"{gateway.url}/v1beta/models/gemini-mock:generateContent?key=shipway_llm_wrong", json=asked, timeout=30)
    assert (refused.status_code, refused.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    whole = requests.post(f"{gateway.url}/v1beta/models/gemini-mock:streamGenerateContent", json=asked, timeout=30)
    assert whole.status_code == 400 and "alt=sse" in whole.json()["error"]["message"]


def test_a_client_that_leaves_ends_the_call_of_the_provider(client, gateway):
    for model in UPSTREAM:
        mark = gateway.mock.mark()
        chunks = stream(client, model, script("chunks=1000,interval=20ms"))
        next(iter(chunks))
        chunks.close()
        [arrived] = gateway.mock.requests(since=mark, ended=1)
        assert arrived["sent"]["ended"] == "client_left" and arrived["sent"]["took_us"] < 15_000_000, model
