"""Images, sound and moderations of the unmodified `openai` client through the gateway."""

from __future__ import annotations

import io
from decimal import Decimal

import openai
import pytest
from gateway_setup import SECRET, Gateway


@pytest.fixture
def client(gateway: Gateway):
    with openai.OpenAI(base_url=gateway.openai, api_key=gateway.key, max_retries=0) as opened:
        yield opened


def sound(seconds: int) -> io.BytesIO:
    file = io.BytesIO(b"RIFF\r\n--" + bytes(16_000 * seconds - 8))
    file.name = "a \"quoted\"; name.wav"
    return file


def test_images_are_made_and_charged_by_their_tokens(client, gateway):
    raw = client.images.with_raw_response.generate(model="gpt-mock", prompt="a ship", n=2)
    made = raw.parse()
    assert len(made.data) == 2 and made.data[0].b64_json
    arrived = gateway.mock.last()
    assert (arrived["model"], arrived["target"]) == ("gpt-upstream", "/v1/images/generations")
    # 10 tokens in at 1 dollar for a million, 544 out at 10.
    assert Decimal(raw.headers["x-shipway-cost"]) == Decimal("0.00545")
    assert SECRET not in str(raw.headers)


def test_an_image_is_changed(client, gateway):
    image = io.BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(100))
    image.name = "ship.png"
    assert client.images.edit(model="gpt-mock", image=image, prompt="add a sail").data[0].b64_json
    arrived = gateway.mock.last()
    assert (arrived["model"], arrived["target"]) == ("gpt-upstream", "/v1/images/edits")


@pytest.mark.parametrize("asked", ["transcriptions", "translations"])
def test_sound_is_written_down(client, gateway, asked):
    heard = getattr(client.audio, asked).create(model="gpt-mock", file=sound(3))
    assert heard.text == "ahoy ahoy ahoy"
    arrived = gateway.mock.last()
    assert (arrived["model"], arrived["target"]) == ("gpt-upstream", f"/v1/audio/{asked}")


def test_what_was_heard_comes_in_the_form_that_was_asked_for(client):
    plain = client.audio.transcriptions.create(model="gpt-mock", file=sound(2), response_format="text")
    assert plain.strip() == "ahoy ahoy"
    detailed = client.audio.transcriptions.create(model="gpt-mock", file=sound(2), response_format="verbose_json")
    assert (detailed.duration, detailed.text) == (2.0, "ahoy ahoy")


def test_text_is_spoken(client, gateway):
    with client.audio.speech.with_streaming_response.create(model="gpt-mock", voice="alloy", input="ahoy there") as spoken:
        assert spoken.headers["content-type"] == "audio/mpeg"
        assert spoken.read().endswith(b"ahoy there")
    assert gateway.mock.last()["model"] == "gpt-upstream"


def test_texts_are_judged(client):
    judged = client.moderations.create(model="gpt-mock", input=["ahoy", "please flag me"])
    assert [result.flagged for result in judged.results] == [False, True]


def test_errors_are_those_of_the_client(client, gateway):
    with pytest.raises(openai.BadRequestError, match="prompt"):
        client.post("/images/generations", body={"model": "gpt-mock"}, cast_to=dict)
    with pytest.raises(openai.NotFoundError):
        client.audio.transcriptions.create(model="nobody", file=sound(1))
    with pytest.raises(openai.BadRequestError, match="model"):
        client.moderations.create(input="ahoy")
    limited = gateway.new_key("no media", models=["claude"])
    with openai.OpenAI(base_url=gateway.openai, api_key=limited, max_retries=0) as stranger, pytest.raises(openai.PermissionDeniedError):
        stranger.images.generate(model="gpt-mock", prompt="a ship")
