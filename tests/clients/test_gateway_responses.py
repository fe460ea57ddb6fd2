"""The Responses API of the unmodified `openai` client through the gateway, to a provider that has it."""

from __future__ import annotations

import json

import openai
import pytest
from gateway_setup import Gateway
from mock_provider import WEATHER, script

TOOLS = [{"type": "function", "name": "weather", "parameters": WEATHER}]


@pytest.fixture
def client(gateway: Gateway):
    with openai.OpenAI(base_url=gateway.openai, api_key=gateway.key, max_retries=0) as opened:
        yield opened


def test_a_response_goes_on_after_the_one_before(client, gateway):
    first = client.responses.create(model="gpt-mock", input="hello")
    second = client.responses.create(model="gpt-mock", input="and now?", previous_response_id=first.id)
    assert "messages=3" in second.output_text
    assert gateway.mock.last()["model"] == "gpt-upstream"
    with pytest.raises(openai.BadRequestError, match="Previous response with id 'resp_none' not found"):
        client.responses.create(model="gpt-mock", input="hello", previous_response_id="resp_none")


def test_events_arrive_in_their_order_with_usage(client):
    said = script("input=50,cached=20,reasoning=4")
    with client.responses.stream(model="gpt-mock", input=said, reasoning={"effort": "low", "summary": "auto"}) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1].response
    assert events[-1].type == "response.completed" and final.usage.input_tokens_details.cached_tokens == 20


def test_tools_and_encrypted_reasoning_come_back(client):
    asked = [{"role": "user", "content": script("tools=2")}]
    more = {"tools": TOOLS, "store": False, "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]}
    first = client.responses.create(model="gpt-mock", input=asked, **more)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "text é", "days": 1}] * 2
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
    assert client.responses.create(model="gpt-mock", input=[*asked, *first.output, *results], **more).output_text


@pytest.mark.parametrize(("words", "raised"), [("error=context", openai.BadRequestError), ("status=429", openai.RateLimitError), ("status=500", openai.InternalServerError)])
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_the_provider_are_those_of_the_client(client, words, raised, stream):
    with pytest.raises(raised):
        client.responses.create(model="gpt-mock", input=script(words), stream=stream)


def test_a_stream_that_is_cut_never_ends_as_if_it_were_whole(client):
    for fault in ("cut:5", "end:5", "no_terminator"):
        kinds = []
        try:
            for event in client.responses.create(model="gpt-mock", input=script(f"fault={fault}"), stream=True):
                kinds.append(event.type)
        except openai.APIError:
            continue
        assert kinds[-1] in ("error", "response.failed"), fault


def test_a_response_is_read_again_with_what_it_was_asked_and_deleted(client):
    made = client.responses.create(model="gpt-mock", input="hello")
    again = client.responses.retrieve(made.id)
    assert (again.id, again.output_text, again.usage) == (made.id, made.output_text, made.usage)
    items = client.responses.input_items.list(made.id)
    assert [item.content[0].text for item in items.data] == ["hello"]
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        client.responses.create(model="gpt-mock", input="hello", previous_response_id=made.id)


def test_a_response_in_the_background_is_waited_for_or_cancelled(client):
    made = client.responses.create(model="gpt-mock", input="hello", background=True)
    assert made.status == "queued"
    while (seen := client.responses.retrieve(made.id)).status in ("queued", "in_progress"):
        pass
    assert seen.status == "completed" and seen.output_text
    other = client.responses.create(model="gpt-mock", input="hello", background=True)
    assert client.responses.cancel(other.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="background=true"):
        client.responses.cancel(client.responses.create(model="gpt-mock", input="hello").id)


def test_a_streamed_response_is_kept_under_its_id(client):
    with client.responses.stream(model="gpt-mock", input="hello") as stream:
        made = stream.get_final_response()
    assert client.responses.retrieve(made.id).output_text == made.output_text
    assert "messages=3" in client.responses.create(model="gpt-mock", input="and now?", previous_response_id=made.id).output_text


def test_another_key_learns_nothing_of_a_response(client, gateway):
    made = client.responses.create(model="gpt-mock", input="hello")
    with openai.OpenAI(base_url=gateway.openai, api_key=gateway.new_key("stranger"), max_retries=0) as stranger:
        for ask in (stranger.responses.retrieve, stranger.responses.cancel, stranger.responses.delete, stranger.responses.input_items.list):
            with pytest.raises(openai.NotFoundError):
                ask(made.id)
        with pytest.raises(openai.BadRequestError, match="not found"):
            stranger.responses.create(model="gpt-mock", input="hello", previous_response_id=made.id)
    assert client.responses.retrieve(made.id).id == made.id
