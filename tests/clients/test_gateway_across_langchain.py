"""The unmodified `langchain-openai` and `langchain-anthropic` ask models at providers that speak another API."""

from __future__ import annotations

import openai
import pydantic
import pytest
from gateway_setup import Gateway
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
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


PAIRS = [("openai", "claude-mock"), ("openai", "gemini-mock"), ("responses", "claude-mock"), ("anthropic", "gpt-mock"), ("anthropic", "gemini-mock")]
CLIENTS = pytest.mark.parametrize(("speaks", "name"), PAIRS)


def make(gateway: Gateway, speaks: str, name: str, **more) -> BaseChatModel:
    if speaks == "anthropic":
        return ChatAnthropic(model=name, base_url=gateway.url, api_key=gateway.key, max_retries=0, **{"max_tokens": 2048, **more})
    responses = speaks == "responses"
    return ChatOpenAI(model=name, base_url=gateway.openai, api_key=gateway.key, max_retries=0, use_responses_api=responses, **more)


@CLIENTS
def test_invoke_stream_and_usage(gateway, speaks, name):
    model = make(gateway, speaks, name)
    said = script("input=100,output=9,cached=40,chunks=5")
    answer = model.invoke(said)
    assert answer.text.endswith("word4")
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (100, 9)
    assert answer.usage_metadata["input_token_details"]["cache_read"] == 40
    chunks = list(model.stream(said))
    assert "".join(chunk.text for chunk in chunks).endswith("word4") and len(chunks) >= 5


@CLIENTS
def test_parallel_tools_and_their_results(gateway, speaks, name):
    model = make(gateway, speaks, name).bind_tools([weather, history])
    said = HumanMessage(script("tools=2"))
    whole = None
    for chunk in model.stream([said]):
        whole = chunk if whole is None else whole + chunk
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("weather", {"city": "text é"}), ("history", {"city": "text é"})]
    results = [ToolMessage({"weather": weather, "history": history}[call["name"]].invoke(call["args"]), tool_call_id=call["id"]) for call in whole.tool_calls]
    assert model.invoke([said, whole, *results]).text.endswith("word7")


@CLIENTS
def test_structured_output_and_images(gateway, speaks, name):
    assert make(gateway, speaks, name).with_structured_output(Trip).invoke("plan") == Trip(city="text é", nights=7)
    image = {"type": "image", "source_type": "base64", "data": PIXEL, "mime_type": "image/png"}
    assert "image=" in make(gateway, speaks, name).invoke([HumanMessage([{"type": "text", "text": "what?"}, image])]).text


def test_thoughts_come_back_as_they_were_signed(gateway):
    model = make(gateway, "anthropic", "gemini-mock", thinking={"type": "enabled", "budget_tokens": 1024}).bind_tools([weather])
    said = HumanMessage(script("tools=1"))
    first = model.invoke([said])
    result = ToolMessage("sunny", tool_call_id=first.tool_calls[0]["id"])
    assert model.invoke([said, first, result]).text.endswith("word7")


@CLIENTS
def test_a_stream_that_breaks_raises(gateway, speaks, name):
    expected = openai.APIError if speaks != "anthropic" else Exception
    with pytest.raises(expected, match="(?i)error|stream|provider|broke|ended"):
        list(make(gateway, speaks, name).stream(script("fault=cut:4")))
