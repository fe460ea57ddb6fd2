"""What breaks behind the gateway is said honestly: the client's SDK raises, and no stream ends as if it were whole."""

from __future__ import annotations

import json

import openai
import pytest
from gateway_setup import Gateway, raw_post
from mock_provider import script

CHAT = "/v1/chat/completions"
BREAKS = ["cut:3", "half_frame:3", "reset:3", "end:3", "no_terminator", "error_frame:3"]


@pytest.fixture
def client(gateway: Gateway):
    with openai.OpenAI(base_url=gateway.openai, api_key=gateway.key, max_retries=0) as opened:
        yield opened


def user(words: str) -> list[dict]:
    return [{"role": "user", "content": script(words)}]


@pytest.mark.parametrize("fault", BREAKS)
@pytest.mark.parametrize("framing", ["", "crlf", "split=utf8,unicode"])
def test_a_stream_that_breaks_raises_in_the_client(client, fault, framing):
    stream = client.chat.completions.create(model="gpt-mock", messages=user(f"fault={fault},{framing}"), stream=True)
    seen = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in stream:
            seen.append(chunk)
    assert seen and not isinstance(caught.value, openai.APIConnectionError)


@pytest.mark.parametrize("fault", BREAKS)
def test_the_error_is_the_last_frame_of_a_body_that_is_whole(gateway, fault):
    asked = {"model": "gpt-mock", "messages": user(f"fault={fault}"), "stream": True}
    raw = raw_post(gateway.url, CHAT, json.dumps(asked).encode(), {"authorization": f"Bearer {gateway.key}"})
    assert raw.status == 200 and b"[DONE]" not in raw.body
    last = raw.frames()[-1]
    assert json.loads(last.removeprefix(b"data: "))["error"]["message"]
    # What came before it is whole frames.
    assert all(json.loads(frame.removeprefix(b"data: "))["object"] == "chat.completion.chunk" for frame in raw.frames()[:-1])


def test_a_stream_without_a_reason_for_its_end_is_an_error(client):
    stream = client.chat.completions.create(model="gpt-mock", messages=user("fault=no_finish"), stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


@pytest.mark.parametrize("fault", ["cut:0", "end:0", "empty", "error_frame:0,error=rate_limit"])
def test_what_breaks_before_the_first_frame_is_a_status(client, fault):
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="gpt-mock", messages=user(f"fault={fault}"), stream=True)
    assert caught.value.status_code == (429 if "rate_limit" in fault else 502)


@pytest.mark.parametrize("words", ["fault=stall:0", "latency=30s", "slow_headers=30s"])
def test_a_provider_that_does_not_begin_is_given_up(client, gateway, words):
    mark = gateway.mock.mark()
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="hasty", messages=user(words), stream=True)
    assert caught.value.status_code in (408, 504)
    [arrived] = gateway.mock.requests(since=mark, ended=1)
    assert arrived["sent"]["ended"] == "client_left"


def test_a_stream_that_stands_still_ends_with_an_error(client, gateway):
    mark = gateway.mock.mark()
    seen = []
    with pytest.raises(openai.APIError):
        for chunk in client.chat.completions.create(model="hasty", messages=user("fault=stall:3"), stream=True):
            seen.append(chunk)
    assert len(seen) == 3
    [arrived] = gateway.mock.requests(since=mark, ended=1)
    assert arrived["sent"]["ended"] == "client_left"


def test_a_slow_stream_that_keeps_coming_is_not_given_up(client):
    stream = client.chat.completions.create(model="hasty", messages=user("chunks=4,interval=400ms"), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream).endswith("word3")


def test_answers_go_on_while_others_break(client):
    for number in range(20):
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(model="gpt-mock", messages=user(f"fault=cut:{number % 5 + 1}"), stream=True))
        assert client.chat.completions.create(model="gpt-mock", messages=user("")).choices
