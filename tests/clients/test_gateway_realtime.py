"""The unmodified `openai` client speaks over a connection through the gateway."""

from __future__ import annotations

import base64
import json
import time
from decimal import Decimal

import openai
import pytest
import requests
from gateway_setup import SECRET, Gateway
from mock_provider import WEATHER, MockProvider, script
from real_binary import Server
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

PRICE = "price: { input: 4, cached_input: 0.4, output: 16, input_audio: 32, output_audio: 64 }, max_output_tokens: 1000"
DEFINITIONS = f"""
kind: llm_model
name: voice
called: [gpt-voice]
deployments: [{{ provider: openai, model: voice-upstream, {PRICE} }}]
cooldown: {{ failures: 1000, pause: 1s }}
retries: {{ rate_limit: 0, overloaded: 0, connection: 0, timeout: 0 }}
---
kind: llm_model
name: spoken
deployments:
  - {{ name: first, provider: openai, model: spoken-first, {PRICE} }}
  - {{ name: second, provider: azure, model: spoken-second, {PRICE} }}
cooldown: {{ failures: 1000, pause: 1s }}
retries: {{ rate_limit: 0, overloaded: 0, connection: 0, timeout: 0 }}
"""
# Of a response: 4096 tokens in and 1000 out, all of them sound.
RESERVED = Decimal("0.195072")
# 60 of the 200 tokens in are sound, 40 came out of the cache (20 of them sound); of the 80 out 60 are sound.
USAGE = "input=200,audio=60,cached=40,output=80"
COST = (120 * 4 + 40 * 32 + 40 * Decimal("0.4") + 20 * 16 + 60 * 64) / 1_000_000
TEXT_COST = (120 * 4 + 40 * 32 + 40 * Decimal("0.4") + 80 * 16) / 1_000_000


@pytest.fixture(scope="module")
def voice(binary: str, mock: MockProvider, tmp_path_factory: pytest.TempPathFactory):
    """A server of its own: what it costs is counted to the billionth."""
    folder = tmp_path_factory.mktemp("realtime")
    environment = {}
    for name, kind, path in [("OPENAI", "openai", "/v1"), ("AZURE", "azure", "")]:
        prefix = f"SHIPWAY_PROVIDERS__{name}__"
        environment |= {f"{prefix}KIND": kind, f"{prefix}BASE_URL": f"{mock.url}{path}", f"{prefix}API_KEY": SECRET}
    server = Server(binary, folder / "data", folder / "server.log", environment)
    (folder / "models.yaml").write_text(DEFINITIONS, encoding="utf-8")
    server.cli("apply", str(folder / "models.yaml"))
    started = Gateway(server, mock, "")
    yield started._replace(key=started.new_key("voices"))
    assert SECRET not in server.log()
    server.stop()


def client(voice: Gateway, key: str | None = None) -> openai.OpenAI:
    # The older part of the client takes every address for one with TLS, unless it is told.
    sockets = voice.openai.replace("http", "ws", 1)
    return openai.OpenAI(base_url=voice.openai, websocket_base_url=sockets, api_key=key or voice.key, max_retries=0)


def spent(voice: Gateway, key: str) -> Decimal:
    """What a key has spent so far, once nothing of it runs."""
    for _ in range(200):
        shown = requests.get(f"{voice.url}/api/v1/llm/keys/{key.split('_')[2]}", timeout=30).json()
        if shown["used"]["running"] == 0:
            return Decimal(shown["used"]["dollars"]["total"])
        time.sleep(0.05)
    raise AssertionError(shown)


def says(connection, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})


def until(connection, kind: str) -> list:
    seen = []
    for event in connection:
        seen.append(event)
        if event.type == kind:
            return seen
    raise AssertionError(f"no {kind}: {[event.type for event in seen]}")


def last_events(connection) -> tuple[list, ConnectionClosed]:
    seen = []
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            seen.append(connection.recv())
    return seen, closed.value


def test_a_conversation_is_passed_on_and_charged_to_the_billionth(voice):
    key = voice.new_key("conversation")
    with client(voice, key).realtime.connect(model="gpt-voice") as connection:
        assert until(connection, "session.created")[0].session.model == "voice-upstream"
        says(connection, script(f"text=ahoy%20there,chunks=2,{USAGE}"))
        connection.response.create()
        events = until(connection, "response.done")
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "ahoy there"
        connection.response.create(response={"output_modalities": ["audio"]})
        events = until(connection, "response.done")
        sound = [base64.b64decode(event.delta) for event in events if event.type == "response.output_audio.delta"]
        assert len(sound) == 2 and all(len(piece) == 2_400 for piece in sound)
    assert spent(voice, key) == TEXT_COST + COST
    arrived = voice.mock.last()
    assert (arrived["model"], arrived["target"]) == ("voice-upstream", "/v1/realtime?model=voice-upstream")
    assert arrived["sent"]["said"]["close"]["code"] == 1000
    assert key not in json.dumps(arrived)


def test_parallel_tools(voice):
    tools = [{"type": "function", "name": name, "description": name, "parameters": WEATHER} for name in ("weather", "forecast")]
    with client(voice).realtime.connect(model="voice") as connection:
        connection.session.update(session={"type": "realtime", "tools": tools})
        says(connection, script("tools=2"))
        connection.response.create()
        response = until(connection, "response.done")[-1].response
        assert [item.name for item in response.output] == ["weather", "forecast"]
        for item in response.output:
            result = {"type": "function_call_output", "call_id": item.call_id, "output": "{}"}
            connection.conversation.item.create(item=result)
        connection.response.create()
        assert until(connection, "response.done")[-1].response.output[0].type == "message"


def test_the_older_client_and_a_page_in_a_browser(voice):
    with client(voice).beta.realtime.connect(model="voice") as connection:
        says(connection, "hello")
        connection.response.create()
        assert any(event.type == "response.text.delta" for event in until(connection, "response.done"))
    address = f"{voice.openai.replace('http', 'ws', 1)}/realtime?model=voice"
    protocols = ["realtime", f"openai-insecure-api-key.{voice.key}", "openai-beta.realtime-v1"]
    with connect(address, subprotocols=protocols, origin="https://app.example") as page:
        assert page.subprotocol == "realtime"
        assert json.loads(page.recv())["type"] == "session.created"
    with pytest.raises(InvalidStatus) as refused, connect(address, origin="https://app.example"):
        pass
    assert refused.value.response.headers["x-shipway-error"] == "gateway.page_without_key"


def test_a_budget_runs_out_while_the_provider_answers_by_itself(voice):
    key = voice.new_key("thrifty", limits={"budgets": [{"dollars": str(RESERVED + COST), "window": "day"}]})
    turns = {"input": {"turn_detection": {"type": "server_vad"}}}
    with client(voice, key).realtime.connect(model="voice") as connection:
        connection.session.update(session={"type": "realtime", "output_modalities": ["audio"], "audio": turns})
        says(connection, script(USAGE))
        speech, silence = (base64.b64encode(byte * 4_800).decode() for byte in (b"\x01", b"\x00"))
        for _ in range(2):
            connection.input_audio_buffer.append(audio=speech)
            connection.input_audio_buffer.append(audio=silence)
            until(connection, "response.done")
        events, closed = last_events(connection)
        assert [event.error.code for event in events] == ["insufficient_quota"]
        assert (closed.rcvd.code, closed.rcvd.reason) == (1008, "gateway.budget_used_up")
    assert spent(voice, key) == 2 * COST


def test_limits_and_a_key_that_is_revoked(voice):
    key = voice.new_key("limited", limits={"concurrency": 1, "requests_per_minute": 1})
    with client(voice, key).realtime.connect(model="voice") as connection:
        until(connection, "session.created")
        with pytest.raises(InvalidStatus) as refused, client(voice, key).realtime.connect(model="voice"):
            pass
        assert refused.value.response.status_code == 429
        says(connection, "hello")
        connection.response.create()
        until(connection, "response.done")
        events, closed = last_events(connection)
        assert events[-1].error.code == "rate_limit_exceeded" and closed.rcvd.code == 1008
    key = voice.new_key("revoked")
    with client(voice, key).realtime.connect(model="voice") as connection:
        until(connection, "session.created")
        requests.delete(f"{voice.url}/api/v1/llm/keys/{key.split('_')[2]}", timeout=30).raise_for_status()
        events, closed = last_events(connection)
        assert events[-1].error.code == "invalid_api_key" and closed.rcvd.code == 1008


@pytest.mark.parametrize("fault", ["cut:3", "reset:3"])
def test_a_provider_that_breaks_is_an_error_and_no_clean_end(voice, fault):
    key = voice.new_key(f"broken {fault}")
    with client(voice, key).realtime.connect(model="voice") as connection:
        says(connection, script(f"fault={fault}"))
        connection.response.create()
        events, closed = last_events(connection)
        assert events[-1].type == "error" and events[-1].error.code == "upstream_error"
        assert closed.rcvd.code == 1011
    assert spent(voice, key) == RESERVED


def test_a_client_that_leaves_ends_the_connection_to_the_provider(voice):
    before = voice.mock.mark()
    with client(voice).realtime.connect(model="voice") as connection:
        says(connection, script("chunks=100000,interval=20ms"))
        connection.response.create()
        until(connection, "response.output_text.delta")
        # Without a word.
        connection._connection.socket.close()
    [arrived] = voice.mock.requests(ended=1, since=before)
    assert arrived["sent"]["ended"] == "client_left" and arrived["sent"]["took_us"] < 30_000_000


def test_a_connection_that_is_refused_leads_elsewhere(voice):
    voice.mock.next("status=429", model="spoken-first")
    with client(voice).realtime.connect(model="spoken") as connection:
        assert until(connection, "session.created")[0].session.model == "spoken-second"
    assert voice.mock.last()["target"] == "/openai/v1/realtime?model=spoken-second"
    voice.mock.next("status=500", model="voice-upstream")
    with pytest.raises(InvalidStatus) as refused, client(voice).realtime.connect(model="voice"):
        pass
    assert refused.value.response.status_code == 502


def test_what_leads_past_the_books_is_refused(voice):
    with pytest.raises(openai.BadRequestError, match="past this gateway"):
        client(voice).realtime.client_secrets.create()
    with pytest.raises(openai.BadRequestError, match="past this gateway"):
        client(voice).post("/realtime/calls", body={}, cast_to=dict)


def test_a_server_that_stops_says_so(binary, mock, tmp_path):
    prefix = "SHIPWAY_PROVIDERS__OPENAI__"
    environment = {f"{prefix}KIND": "openai", f"{prefix}BASE_URL": f"{mock.url}/v1", f"{prefix}API_KEY": SECRET}
    server = Server(binary, tmp_path / "data", tmp_path / "server.log", environment)
    (tmp_path / "models.yaml").write_text(DEFINITIONS.split("---")[0], encoding="utf-8")
    server.cli("apply", str(tmp_path / "models.yaml"))
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none").realtime.connect(model="voice") as connection:
        until(connection, "session.created")
        server.stop()
        _, closed = last_events(connection)
        assert closed.rcvd.code == 1001
