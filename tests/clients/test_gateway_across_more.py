"""The unmodified clients across APIs for what is no chat: responses of servers that only chat, counting, embeddings, completions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from gateway_setup import PATIENT, SECRET, Gateway
from google import genai
from google.genai import types
from mock_provider import WEATHER, MockProvider, script
from real_binary import Server

PRICE = "price: { input: 1, cached_input: 0.1, cache_write: 1.25, output: 10 }"
CLAUDE = "eu.anthropic.claude-mock-v1:0"
TITAN, COHERE = "amazon.titan-embed-text-v2:0", "cohere.embed-multilingual-v3"
GOOGLE = "/v1/projects/mock-project/locations/europe-west4/publishers/google/models"


def model(name: str, *deployments: str) -> str:
    listed = ", ".join(f"{{ {deployment}, {PRICE} }}" for deployment in deployments)
    return f"kind: llm_model\nname: {name}\ndeployments: [{listed}]\n{PATIENT}\n"


ONLY_CHAT = "name: only_chat, provider: openai, model: chat-upstream, apis: [chat]"
DEFINITIONS = "---\n".join(
    [
        model("only_chat", ONLY_CHAT),
        model("only_responses", "provider: openai, model: responses-upstream, apis: [responses]"),
        model("gpt", "provider: openai, model: gpt-upstream"),
        model("claude", "provider: anthropic, model: claude-upstream"),
        model("gemini", "provider: gemini, model: gemini-upstream"),
        model("vertex", "provider: vertex, model: vertex-upstream"),
        model("bedrock", f'provider: bedrock, model: "{CLAUDE}"'),
        model("counts", ONLY_CHAT, "provider: anthropic, model: claude-upstream"),
        model("embed_openai", "provider: openai, model: embed-upstream"),
        model("embed_google", "provider: gemini, model: gemini-embedding-upstream"),
        model("embed_vertex", "provider: vertex, model: text-embedding-005"),
        model("embed_vertex_one", "provider: vertex, model: gemini-embedding-001"),
        model("embed_vertex_content", "provider: vertex, model: gemini-embedding-2"),
        model("embed_titan", f'provider: bedrock, model: "{TITAN}"'),
        model("embed_cohere", f'provider: bedrock, model: "{COHERE}"'),
    ]
)


@pytest.fixture(scope="module")
def more(binary: str, mock: MockProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("more")
    cloud = {"BASE_URL": mock.url, "API_KEY": SECRET}
    providers: dict[str, dict[str, str]] = {
        "OPENAI": {"KIND": "openai", "BASE_URL": f"{mock.url}/v1", "API_KEY": SECRET},
        "ANTHROPIC": {"KIND": "anthropic", "BASE_URL": f"{mock.url}/v1", "API_KEY": SECRET},
        "GEMINI": {"KIND": "gemini", "BASE_URL": f"{mock.url}/v1beta", "API_KEY": SECRET},
        "BEDROCK": {"KIND": "bedrock", "REGION": "eu-central-1"} | cloud,
        "VERTEX": {"KIND": "vertex", "PROJECT": "mock-project", "LOCATION": "europe-west4"} | cloud,
    }
    environment = {
        f"SHIPWAY_PROVIDERS__{provider}__{name}": value for provider, members in providers.items() for name, value in members.items()
    }
    server = Server(binary, folder / "data", folder / "server.log", environment)
    (folder / "models.yaml").write_text(DEFINITIONS, encoding="utf-8")
    server.cli("apply", str(folder / "models.yaml"))
    started = Gateway(server, mock, "")
    yield started._replace(key=started.new_key("clients"))
    assert SECRET not in server.log()
    server.stop()


@pytest.fixture
def gpt(more: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=more.openai, api_key=more.key, max_retries=0) as opened:
        yield opened


@pytest.fixture
def claude(more: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=more.url, api_key=more.key, max_retries=0) as opened:
        yield opened


@pytest.fixture
def google(more: Gateway) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=more.url, retry_options=types.HttpRetryOptions(attempts=1))
    with genai.Client(api_key=more.key, http_options=options) as opened:
        yield opened


def user(said: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": said}]


# Responses of a server that has only chat completions, and chats of one that has only responses.


def test_a_response_of_a_server_that_only_chats(gpt: openai.OpenAI, more: Gateway) -> None:
    tool: dict[str, Any] = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}
    asked: dict[str, Any] = {"model": "only_chat", "instructions": "be brief", "tools": [tool]}
    raw = gpt.responses.with_raw_response.create(**asked, input=script("tools=2,input=100,output=9,cached=40"))
    answer = raw.parse()
    assert more.mock.last()["target"] == "/v1/chat/completions" and raw.headers["x-shipway-cost"] == "0.000154000"
    calls = [item for item in answer.output if item.type == "function_call"]
    assert len(calls) == 2 and answer.usage.input_tokens_details.cached_tokens == 40
    # What it said goes back to it, with the results of its calls.
    said: list[Any] = [{"role": "user", "content": "hello"}]
    said += [item.model_dump(exclude_none=True) for item in answer.output]
    said += [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls]
    assert gpt.responses.create(**asked, input=said).output_text
    with pytest.raises(openai.BadRequestError) as refused:
        gpt.responses.create(model="only_chat", input="and then?", previous_response_id=answer.id)
    assert refused.value.param == "previous_response_id"
    with pytest.raises(openai.BadRequestError) as refused:
        gpt.responses.create(model="only_chat", input="search", tools=[{"type": "web_search"}])
    assert refused.value.param == "tools[0].type"


def test_a_streamed_response_of_a_server_that_only_chats(gpt: openai.OpenAI) -> None:
    with gpt.responses.stream(model="only_chat", input=script("chunks=4,input=100,output=9")) as events:
        kinds = [event.type for event in events]
        answer = events.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert "word2" in answer.output_text and answer.usage.input_tokens == 100
    cut = [event.type for event in gpt.responses.create(model="only_chat", input=script("fault=cut:3"), stream=True)]
    assert cut[-1] == "error" and "response.completed" not in cut


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_of_a_server_that_has_only_responses(gpt: openai.OpenAI, more: Gateway, stream: bool) -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    messages: Any = user(script("tools=2,input=100,output=9"))
    asked: dict[str, Any] = {"model": "only_responses", "messages": messages, "tools": tools}
    if stream:
        with gpt.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
            answer = events.get_final_completion()
    else:
        answer = gpt.chat.completions.create(**asked)
    assert more.mock.last()["target"] == "/v1/responses"
    turn = answer.choices[0].message
    assert turn.tool_calls and len(turn.tool_calls) == 2 and answer.choices[0].finish_reason == "tool_calls"
    assert answer.usage and (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (100, 9)
    results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in turn.tool_calls]
    called = [{"id": call.id, "type": "function", "function": call.function.model_dump(include={"name", "arguments"})} for call in turn.tool_calls]
    said: Any = [*user("hello"), {"role": "assistant", "content": None, "tool_calls": called}, *results]
    assert gpt.chat.completions.create(model="only_responses", messages=said, tools=tools).choices[0].message.content


# Counting.

COUNTED = {
    "gpt": "/v1/responses/input_tokens",
    "claude": "/v1/messages/count_tokens",
    "gemini": "/v1beta/models/gemini-upstream:countTokens",
    "vertex": f"{GOOGLE}/vertex-upstream:countTokens",
    "bedrock": "/model/anthropic.claude-mock-v1%3A0/count-tokens",
    # The first of the route cannot count.
    "counts": "/v1/messages/count_tokens",
}


@pytest.mark.parametrize("name", list(COUNTED))
def test_tokens_are_counted_by_every_provider_for_every_client(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, google: genai.Client, more: Gateway, name: str
) -> None:
    tool: Any = {"name": "weather", "description": "says it", "input_schema": WEATHER}
    counted = claude.messages.count_tokens(model=name, system="be brief", messages=user(script("input=321")), tools=[tool])
    assert counted.input_tokens == 321 and more.mock.last()["target"] == COUNTED[name]
    assert "be brief" in more.mock.last()["body"] and "weather" in more.mock.last()["body"]
    assert gpt.responses.input_tokens.count(model=name, instructions="be brief", input=script("input=321")).input_tokens == 321
    assert more.mock.last()["target"] == COUNTED[name]
    assert google.models.count_tokens(model=name, contents=script("input=321")).total_tokens == 321
    assert more.mock.last()["target"] == COUNTED[name]


def test_who_cannot_count_is_not_guessed_for(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.messages.count_tokens(model="only_chat", messages=user("hello"))
    assert "for counting" in str(refused.value)
    with pytest.raises(openai.BadRequestError) as denied:
        gpt.responses.input_tokens.count(model="claude", input="hello", conversation="conv_1")
    assert denied.value.param == "conversation"


# Embeddings.

EMBEDDED = {
    "embed_openai": "/v1/embeddings",
    "embed_google": "/v1beta/models/gemini-embedding-upstream:batchEmbedContents",
    "embed_vertex": f"{GOOGLE}/text-embedding-005:predict",
    "embed_vertex_one": f"{GOOGLE}/gemini-embedding-001:predict",
    "embed_vertex_content": f"{GOOGLE}/gemini-embedding-2:embedContent",
    "embed_titan": "/model/amazon.titan-embed-text-v2%3A0/invoke",
    "embed_cohere": f"/model/{COHERE}/invoke",
}


@pytest.mark.parametrize("name", list(EMBEDDED))
def test_texts_are_embedded_by_every_provider_for_clients_of_openai(gpt: openai.OpenAI, more: Gateway, name: str) -> None:
    # The client asks for base 64 where nobody says otherwise, and decodes it.
    answer = gpt.embeddings.create(model=name, input=["a", "b", "a"])
    vectors = [item.embedding for item in answer.data]
    assert vectors[0] == vectors[2] != vectors[1] and more.mock.last()["target"] == EMBEDDED[name]
    assert [item.index for item in answer.data] == [0, 1, 2] and answer.model in (name, "embed-upstream")
    plain = gpt.embeddings.create(model=name, input="a", encoding_format="float").data[0].embedding
    assert plain == pytest.approx(vectors[0], abs=1e-6)
    # Equal texts have equal numbers at all providers that are played.
    assert plain == pytest.approx(gpt.embeddings.create(model="embed_openai", input="a", encoding_format="float").data[0].embedding)
    if name != "embed_cohere":
        assert len(gpt.embeddings.create(model=name, input="a", dimensions=8).data[0].embedding) == 8
    assert answer.usage.prompt_tokens > 0


@pytest.mark.parametrize("name", list(EMBEDDED))
def test_texts_are_embedded_by_every_provider_for_clients_of_google(google: genai.Client, more: Gateway, name: str) -> None:
    answer = google.models.embed_content(model=name, contents=["a", "b", "a"])
    assert answer.embeddings and len(answer.embeddings) == 3
    values = [one.values for one in answer.embeddings]
    assert values[0] == values[2] != values[1] and more.mock.last()["target"] == EMBEDDED[name]


def test_what_embeddings_cost_is_what_their_provider_counted(gpt: openai.OpenAI, more: Gateway) -> None:
    asked: dict[str, Any] = {"model": "embed_titan", "input": ["four", "eight ch", "twelve chars"]}
    raw = gpt.embeddings.with_raw_response.create(**asked)
    # A token for four bytes of each text, at a dollar for a million.
    assert raw.parse().usage.total_tokens == 6 and raw.headers["x-shipway-cost"] == "0.000006000"
    more.mock.next("usage=none", model="gemini-embedding-upstream")
    raw = gpt.embeddings.with_raw_response.create(model="embed_google", input="four")
    assert raw.parse().usage.total_tokens > 0 and float(raw.headers["x-shipway-cost"]) > 0


def test_one_text_that_fails_fails_all(gpt: openai.OpenAI, more: Gateway) -> None:
    more.mock.next("", "status=400", "", model=TITAN)
    with pytest.raises(openai.BadRequestError):
        gpt.embeddings.create(model="embed_titan", input=["a", "b", "c"])
    more.mock.next(model=TITAN)
    assert len(gpt.embeddings.create(model="embed_titan", input=["a", "b", "c"]).data) == 3


def test_what_cannot_be_embedded_is_refused_by_name(gpt: openai.OpenAI, google: genai.Client) -> None:
    for given in ([1, 2, 3], [[1, 2], [3]], ["a"] * 101):
        with pytest.raises(openai.BadRequestError) as refused:
            gpt.embeddings.create(model="embed_google", input=given)
        assert refused.value.param == "input"
    with pytest.raises(openai.BadRequestError) as refused:
        gpt.embeddings.create(model="embed_cohere", input="a", dimensions=8)
    assert refused.value.param == "dimensions"
    with pytest.raises(openai.BadRequestError):
        gpt.embeddings.create(model="claude", input="a")
    with pytest.raises(genai.errors.ClientError):
        google.models.embed_content(model="embed_openai", contents="a", config={"task_type": "CLUSTERING"})
    query = gpt.embeddings.create(model="embed_cohere", input="a", extra_body={"input_type": "search_query"})
    assert query.data[0].embedding


# Completions.


@pytest.mark.parametrize("name", ["only_chat", "only_responses", "claude", "gemini", "bedrock"])
def test_prompts_are_completed_by_every_provider(gpt: openai.OpenAI, more: Gateway, name: str) -> None:
    raw = gpt.completions.with_raw_response.create(model=name, prompt=script("input=100,output=9"), max_tokens=50)
    answer = raw.parse()
    assert answer.object == "text_completion" and answer.choices[0].text.startswith("digest=")
    assert answer.usage and answer.usage.prompt_tokens == 100 and raw.headers["x-shipway-cost"] == "0.000190000"
    if name == "only_chat":
        assert json.loads(more.mock.last()["body"])["messages"][0]["role"] == "user"
    chunks = list(gpt.completions.create(model=name, prompt=script("chunks=3"), max_tokens=50, stream=True))
    assert "word2" in "".join(chunk.choices[0].text for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    with pytest.raises(openai.APIError):
        list(gpt.completions.create(model=name, prompt=script("fault=cut:2"), max_tokens=50, stream=True))


@pytest.mark.parametrize(("member", "value"), [("suffix", "end"), ("logprobs", 2), ("echo", True), ("best_of", 2), ("n", 2)])
def test_what_a_chat_cannot_complete_is_refused_by_name(gpt: openai.OpenAI, member: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        gpt.completions.create(model="only_chat", prompt="once upon", **{member: value})
    assert refused.value.param == member
