"""The unmodified `openai` client speaks over a connection with the provider that is played."""

from __future__ import annotations

import base64
import json

import openai
import pytest
from mock_provider import WEATHER, MockProvider, script
from websockets.exceptions import ConnectionClosed, InvalidStatus

TOOLS = [{"type": "function", "name": name, "description": name, "parameters": WEATHER} for name in ("weather", "forecast")]


@pytest.fixture
def client(mock: MockProvider):
    # The older part of the client takes every address for one with TLS, unless it is told.
    sockets = f"{mock.url.replace('http', 'ws', 1)}/v1"
    with openai.OpenAI(base_url=f"{mock.url}/v1", websocket_base_url=sockets, api_key="sk-own", max_retries=0) as opened:
        yield opened


def says(connection, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})


def until(connection, kind: str) -> list:
    seen = []
    for event in connection:
        seen.append(event)
        assert event.type != "error", event
        if event.type == kind:
            return seen
    raise AssertionError(f"no {kind}: {[event.type for event in seen]}")


def test_a_conversation_in_text_and_in_sound(client, mock):
    with client.realtime.connect(model="gpt-realtime") as connection:
        assert until(connection, "session.created")[0].session.model == "gpt-realtime"
        says(connection, script("text=ahoy%20there,chunks=2,input=40,output=8"))
        connection.response.create()
        events = until(connection, "response.done")
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "ahoy there"
        usage = events[-1].response.usage
        assert (usage.input_tokens, usage.output_tokens, usage.output_token_details.audio_tokens) == (40, 8, 0)
        connection.response.create(response={"output_modalities": ["audio"]})
        events = until(connection, "response.done")
        sound = [base64.b64decode(event.delta) for event in events if event.type == "response.output_audio.delta"]
        assert len(sound) == 2 and all(len(piece) == 2_400 for piece in sound)
        assert events[-1].response.usage.output_token_details.audio_tokens == 6
    arrived = mock.last()
    assert arrived["sent"]["ended"] == "client_left"
    assert [json.loads(text)["type"] for text in arrived["sent"]["said"]["messages"]] == [
        "conversation.item.create", "response.create", "response.create",
    ]


def test_tools_are_called_and_their_results_read(client):
    with client.realtime.connect(model="gpt-realtime/tools=2") as connection:
        connection.session.update(session={"type": "realtime", "tools": TOOLS})
        says(connection, "weather?")
        connection.response.create()
        response = until(connection, "response.done")[-1].response
        assert [item.name for item in response.output] == ["weather", "forecast"]
        for item in response.output:
            result = {"type": "function_call_output", "call_id": item.call_id, "output": "{}"}
            connection.conversation.item.create(item=result)
        connection.response.create()
        assert until(connection, "response.done")[-1].response.output[0].type == "message"


def test_it_answers_by_itself_and_writes_down_what_it_hears(client):
    audio = {"input": {"turn_detection": {"type": "server_vad"}, "transcription": {"model": "gpt-4o-transcribe"}}}
    with client.realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session={"type": "realtime", "audio": audio})
        connection.input_audio_buffer.append(audio=base64.b64encode(b"\x01" * 96_000).decode())
        connection.input_audio_buffer.append(audio=base64.b64encode(bytes(4_800)).decode())
        events = until(connection, "response.done")
        written = next(event for event in events if event.type == "conversation.item.input_audio_transcription.completed")
        assert (written.transcript, written.usage.input_token_details.audio_tokens) == ("ahoy ahoy", 30)


def test_the_older_names(client):
    with client.beta.realtime.connect(model="gpt-realtime") as connection:
        says(connection, "hello")
        connection.response.create()
        assert any(event.type == "response.text.delta" for event in until(connection, "response.done"))


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_connection_is_refused(client, status):
    with pytest.raises(InvalidStatus) as refused, client.realtime.connect(model=f"gpt-realtime/status={status}"):
        pass
    assert refused.value.response.status_code == status


@pytest.mark.parametrize("fault", ["cut:3", "reset:3"])
def test_a_connection_breaks(client, fault):
    with client.realtime.connect(model="gpt-realtime") as connection:
        says(connection, script(f"fault={fault}"))
        connection.response.create()
        with pytest.raises(ConnectionClosed) as broken:
            while True:
                connection.recv()
        assert broken.value.rcvd is None


def test_an_error_in_a_response_and_an_end(client):
    with client.realtime.connect(model="gpt-realtime") as connection:
        says(connection, script("fault=error_frame:2"))
        connection.response.create()
        kinds = []
        while "error" not in kinds:
            kinds.append(connection.recv().type)
        says(connection, script("fault=end:1"))
        connection.response.create()
        with pytest.raises(ConnectionClosed) as ended:
            while True:
                connection.recv()
        assert ended.value.rcvd.code == 1000
