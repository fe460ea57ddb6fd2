"""The provider that is played answers the Responses API of the unmodified `openai` client."""

from __future__ import annotations

import json

import openai
import pydantic
import pytest
from mock_provider import PIXEL, WEATHER, MockProvider, script

TOOLS = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}]


class Trip(pydantic.BaseModel):
    city: str
    nights: int


@pytest.fixture
def client(mock: MockProvider):
    with openai.OpenAI(base_url=f"{mock.url}/v1", api_key="sk-test", max_retries=0) as opened:
        yield opened


def test_a_response_goes_on_after_the_one_before(client):
    first = client.responses.create(model="gpt-mock", input="hello", instructions="be brief", metadata={"a": "b"})
    assert first.status == "completed" and first.metadata == {"a": "b"} and first.instructions == "be brief"
    second = client.responses.create(model="gpt-mock", input="and now?", previous_response_id=first.id)
    # What was said, what was answered, what is said now.
    assert "messages=3" in second.output_text and second.previous_response_id == first.id
    with pytest.raises(openai.BadRequestError, match="Previous response with id 'resp_none' not found"):
        client.responses.create(model="gpt-mock", input="hello", previous_response_id="resp_none")


def test_responses_are_kept_until_they_are_deleted(client):
    made = client.responses.create(model="gpt-mock", input="keep this")
    assert client.responses.retrieve(made.id).output_text == made.output_text
    items = client.responses.input_items.list(made.id).data
    assert [item.content[0].text for item in items] == ["keep this"]
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    unkept = client.responses.create(model="gpt-mock", input="not this", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(unkept.id)


def test_a_response_in_the_background_is_cancelled_or_done(client):
    made = client.responses.create(model="gpt-mock", input="slowly", background=True)
    assert made.status == "queued" and not made.output
    assert client.responses.cancel(made.id).status == "cancelled"
    made = client.responses.create(model="gpt-mock", input="slowly again", background=True)
    assert [client.responses.retrieve(made.id).status for _ in range(3)] == ["in_progress", "completed", "completed"]
    with pytest.raises(openai.BadRequestError, match="completed"):
        client.responses.cancel(made.id)


def test_events_are_numbered_and_end_with_the_whole_response(client):
    with client.responses.stream(model="gpt-mock", input=script("input=50,cached=20,reasoning=4"), reasoning={"effort": "low", "summary": "auto"}) as stream:
        events = list(stream)
    numbers = [event.sequence_number for event in events]
    assert numbers == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed"
    assert {"response.reasoning_summary_text.delta", "response.output_text.delta", "response.content_part.done"} <= set(kinds)
    final = events[-1].response
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == final.output_text
    assert (final.usage.input_tokens_details.cached_tokens, final.usage.output_tokens_details.reasoning_tokens) == (20, 4)


def test_tools_are_called_and_answered(client):
    asked = [{"role": "user", "content": script("tools=2")}]
    with client.responses.stream(model="gpt-mock", input=asked, tools=TOOLS) as stream:
        first = stream.get_final_response()
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "text é", "days": 1}] * 2
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
    chained = client.responses.create(model="gpt-mock", input=results, previous_response_id=first.id, tools=TOOLS)
    assert chained.output_text
    whole = client.responses.create(model="gpt-mock", input=[*asked, *first.output, *results], tools=TOOLS)
    assert whole.output_text
    with pytest.raises(openai.BadRequestError, match="No tool output found for function call"):
        client.responses.create(model="gpt-mock", input=results[:1], previous_response_id=first.id, tools=TOOLS)


def test_reasoning_comes_back_as_it_was_encrypted(client):
    asked = {"model": "gpt-mock", "store": False, "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]}
    first = client.responses.create(input="think", **asked)
    thought = next(item for item in first.output if item.type == "reasoning")
    assert thought.encrypted_content
    said = [{"role": "user", "content": "think"}, *first.output, {"role": "user", "content": "go on"}]
    assert client.responses.create(input=said, **asked).output_text
    thought.encrypted_content = "changed"
    with pytest.raises(openai.BadRequestError, match="could not be verified"):
        client.responses.create(input=said, **asked)


def test_structure_images_refusal_and_length(client):
    assert client.responses.parse(model="gpt-mock", input="plan", text_format=Trip).output_parsed == Trip(city="text é", nights=7)
    parts = [{"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}]
    assert "image=" in client.responses.create(model="gpt-mock", input=[{"role": "user", "content": parts}]).output_text
    refused = client.responses.create(model="gpt-mock", input=script("refusal"))
    assert refused.output[0].content[0].type == "refusal"
    short = client.responses.create(model="gpt-mock", input=script("finish=length"))
    assert short.status == "incomplete" and short.incomplete_details.reason == "max_output_tokens"


def test_an_error_within_a_stream_is_its_last_event(client):
    events = list(client.responses.create(model="gpt-mock", input=script("fault=error_frame:3"), stream=True))
    assert [event.type for event in events][-1] == "error" and len(events) == 4
    assert events[-1].message.startswith("The server had an error") and events[-1].sequence_number == 3


def test_tokens_are_counted_and_nothing_else_is_taken(client):
    assert client.responses.input_tokens.count(model="gpt-mock", input=script("input=321"), tools=TOOLS).input_tokens == 321
    with pytest.raises(openai.BadRequestError, match="Unknown parameter: 'max_output_tokens'"):
        client.responses.input_tokens.count(model="gpt-mock", input="hello", extra_body={"max_output_tokens": 5})
