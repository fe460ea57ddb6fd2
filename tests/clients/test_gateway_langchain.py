"""The unmodified `langchain-openai` and `langchain-anthropic` through the gateway."""

from __future__ import annotations

import openai
import pydantic
import pytest
from gateway_setup import Gateway
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from mock_provider import PIXEL, script


class Trip(pydantic.BaseModel):
    """A trip."""

    city: str
    nights: int


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


@tool
def history(city: str) -> str:
    """What the weather was."""
    return f"rainy in {city}"


def openai_model(gateway: Gateway, **more) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-mock", base_url=gateway.openai, api_key=gateway.key, max_retries=0, **more)


def anthropic_model(gateway: Gateway, **more) -> ChatAnthropic:
    return ChatAnthropic(model="claude-mock", base_url=gateway.url, api_key=gateway.key, max_retries=0, **{"max_tokens": 2048, **more})


MODELS = pytest.mark.parametrize("make", [openai_model, anthropic_model], ids=["openai", "anthropic"])


@MODELS
def test_invoke_stream_and_usage(gateway, make):
    model = make(gateway)
    said = script("input=100,output=9,cached=40,chunks=5")
    answer = model.invoke(said)
    assert answer.text.endswith("word4")
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (100, 9)
    assert answer.usage_metadata["input_token_details"]["cache_read"] == 40
    chunks = list(model.stream(said))
    assert "".join(chunk.text for chunk in chunks).endswith("word4") and len(chunks) >= 5


def test_usage_of_a_stream_comes_when_it_is_asked_for(gateway):
    """With an address of its own this client does not ask; its answers must have no frame that it does not expect."""
    said = script("output=9")
    assert sum(bool(chunk.usage_metadata) for chunk in openai_model(gateway).stream(said)) == 0
    [told] = [chunk.usage_metadata for chunk in openai_model(gateway, stream_usage=True).stream(said) if chunk.usage_metadata]
    assert told["output_tokens"] == 9


@MODELS
def test_parallel_tools_and_their_results(gateway, make):
    model = make(gateway).bind_tools([weather, history])
    said = HumanMessage(script("tools=2"))
    whole = None
    for chunk in model.stream([said]):
        whole = chunk if whole is None else whole + chunk
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("weather", {"city": "text é"}), ("history", {"city": "text é"})]
    results = [ToolMessage({"weather": weather, "history": history}[call["name"]].invoke(call["args"]), tool_call_id=call["id"]) for call in whole.tool_calls]
    assert model.invoke([said, whole, *results]).text.endswith("word7")


@MODELS
def test_structured_output_and_images(gateway, make):
    assert make(gateway).with_structured_output(Trip).invoke("plan") == Trip(city="text é", nights=7)
    image = {"type": "image", "source_type": "base64", "data": PIXEL, "mime_type": "image/png"}
    assert "image=" in make(gateway).invoke([HumanMessage([{"type": "text", "text": "what?"}, image])]).text


def test_thoughts_come_back_as_they_were_signed(gateway):
    model = anthropic_model(gateway, thinking={"type": "enabled", "budget_tokens": 1024}).bind_tools([weather])
    said = HumanMessage(script("tools=1"))
    first = model.invoke([said])
    result = ToolMessage("sunny", tool_call_id=first.tool_calls[0]["id"])
    assert model.invoke([said, first, result]).text.endswith("word7")


def test_responses_go_on_after_each_other(gateway):
    model = openai_model(gateway, use_responses_api=True, use_previous_response_id=True)
    first = model.invoke("hello")
    assert first.response_metadata["id"].startswith("resp_")
    assert "messages=3" in model.invoke([HumanMessage("hello"), first, HumanMessage("go on")]).text
    assert model.invoke(script("input=50"), reasoning={"effort": "low", "summary": "auto"}).usage_metadata["input_tokens"] == 50


def test_a_stream_that_breaks_raises(gateway):
    with pytest.raises(openai.APIError):
        list(openai_model(gateway).stream(script("fault=cut:3")))
    with pytest.raises(Exception, match="(?i)error|stream|provider|broke|ended"):
        list(anthropic_model(gateway).stream(script("fault=cut:4")))


def test_embeddings(gateway):
    model = OpenAIEmbeddings(model="embed-mock", base_url=gateway.openai, api_key=gateway.key, check_embedding_ctx_length=False)
    first, second, third = model.embed_documents(["a", "b", "a"])
    assert first == third != second
