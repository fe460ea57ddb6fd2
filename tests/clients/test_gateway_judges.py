"""Guardrails that reroute, answers that must have a shape, models that judge, and classifiers, as the unmodified `openai` and `anthropic` clients see them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import quote

import anthropic
import numpy
import openai
import pytest
import requests
from gateway_setup import Gateway
from mock_provider import script
from text_models import POSITIONS, SENTENCES, deploy, encoder, export, fresh, log_folder, run, wordpiece

PRICE = "price: { input: 1, cached_input: 0.1, cache_write: 1.25, output: 10 }"
MODELS = f"""
kind: llm_guardrail
name: sensitive
action: reroute
find: {{ personal: [email] }}
---
kind: llm_guardrail
name: place
action: block
find:
  json_schema:
    type: object
    properties: {{ city: {{ type: string, pattern: '^[A-Z]' }} }}
    required: [city]
    additionalProperties: false
---
kind: llm_guardrail
name: asked
action: block
find: {{ fits: request }}
---
kind: llm_model
name: careful
guardrails: [sensitive]
route: usual
deployments:
  - {{ name: usual, provider: openai, model: careful-usual, {PRICE} }}
  - {{ name: ours, provider: openai, model: careful-ours, {PRICE} }}
on_guardrail: ours
---
kind: llm_model
name: shaped
guardrails: [place]
deployments: [{{ provider: openai, model: shaped-upstream, {PRICE} }}]
---
kind: llm_model
name: shaped_claude
guardrails: [place]
deployments: [{{ provider: anthropic, model: shaped-upstream, {PRICE} }}]
---
kind: llm_model
name: asked_for
guardrails: [asked]
deployments: [{{ provider: openai, model: asked-upstream, {PRICE} }}]
---
kind: llm_guardrail
name: strict
action: block
find: {{ judge: {{ model: judging, question: The text is rude. }} }}
---
kind: llm_guardrail
name: lax
on: input
action: block
find: {{ judge: {{ model: judging, question: The text is rude., on_failure: allow }} }}
---
kind: llm_model
name: judging
deployments: [{{ provider: openai, model: judging-upstream, {PRICE} }}]
---
kind: llm_model
name: judged_strictly
guardrails: [strict]
deployments: [{{ provider: openai, model: judged-upstream, {PRICE} }}]
---
kind: llm_model
name: judged_laxly
guardrails: [lax]
deployments: [{{ provider: openai, model: judged-upstream, {PRICE} }}]
"""
MAIL = "ada.lovelace@mail.example.org"
GOOD = '{"city":"Oslo"}'
BAD = '{"city":"oslo"}'


@pytest.fixture(scope="module")
def judged(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    gateway.apply(tmp_path_factory.mktemp("judged"), MODELS)
    return gateway


@pytest.fixture
def client(judged: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=judged.openai, api_key=judged.key, max_retries=0) as opened:
        yield opened


@pytest.fixture
def claude(judged: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=judged.url, api_key=judged.key, max_retries=0) as opened:
        yield opened


def user(said: str) -> list[dict]:
    return [{"role": "user", "content": said}]


def says(text: str, words: str = "chunks=3") -> list[dict]:
    """What a user says so that the provider answers exactly `text`."""
    return user(script(f"{words},text={quote(text, safe='')}"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_in_which_something_is_found_goes_elsewhere(client, judged, stream):
    for said, deployment in [("nothing", "usual"), (f"I am {MAIL}", "ours")]:
        raw = client.chat.completions.with_raw_response.create(
            model="careful", messages=user(said), stream=stream
        )
        assert raw.headers["x-shipway-deployment"] == deployment
        assert ("sensitive=rerouted" in raw.headers["x-shipway-guardrails"]) == (deployment == "ours")
        if stream:
            assert list(raw.parse())
        else:
            assert raw.parse().choices[0].message.content


def test_an_answer_in_which_something_is_found_is_asked_for_elsewhere(client, judged):
    with pytest.raises(openai.BadRequestError) as refused:
        # The other deployment of the provider that is played says the same, so the second answer is refused.
        client.chat.completions.create(model="careful", messages=says(f"ask {MAIL}"))
    assert refused.value.code == "guardrail.sensitive" and MAIL not in str(refused.value)
    headers = refused.value.response.headers
    assert headers["x-shipway-guardrails"] == "sensitive=rerouted, sensitive=blocked"
    assert headers["x-shipway-attempts"] == "2" and float(headers["x-shipway-cost"]) > 0


def test_answers_fit_the_schema_or_are_refused_whole_and_streamed(client, claude):
    assert client.chat.completions.create(model="shaped", messages=says(GOOD)).choices[0].message.content == GOOD
    stream = client.chat.completions.create(model="shaped", messages=says(GOOD), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == GOOD
    with client.responses.stream(model="shaped", input=says(GOOD)[0]["content"]) as events:
        assert events.get_final_response().output_text == GOOD
    with claude.messages.stream(model="shaped_claude", max_tokens=200, messages=says(GOOD)) as events:
        assert events.get_final_text() == GOOD
    for text in [BAD, "Oslo"]:
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="shaped", messages=says(text))
        assert refused.value.code == "guardrail.place" and text not in str(refused.value)
        written = ""
        with pytest.raises(openai.APIError) as broken:
            for chunk in client.chat.completions.create(model="shaped", messages=says(text), stream=True):
                written += "".join(choice.delta.content or "" for choice in chunk.choices)
        assert broken.value.code == "guardrail.place" and written == ""
        with pytest.raises(anthropic.APIStatusError) as broken_claude:
            with claude.messages.stream(model="shaped_claude", max_tokens=200, messages=says(text)) as events:
                events.until_done()
        assert "guardrail place" in str(broken_claude.value)


def test_answers_fit_what_their_request_asks_for(client):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}
    answer = client.chat.completions.create(model="asked_for", messages=user("where?"), response_format=wanted)
    assert isinstance(json.loads(answer.choices[0].message.content)["city"], str)
    # Who asks for nothing gets any text.
    assert client.chat.completions.create(model="asked_for", messages=says("Oslo")).choices[0].message.content == "Oslo"


def test_a_guardrail_that_reroutes_needs_a_way(judged, binary, tmp_path):
    nowhere = tmp_path / "nowhere.yaml"
    nowhere.write_text(MODELS.replace("on_guardrail: ours\n", "").replace("route: usual\n", ""), encoding="utf-8")
    command = [binary, "plan", str(nowhere), "--server", judged.server.url]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0
    assert "llm_guardrail sensitive reroutes, and on_guardrail is missing" in refused.stderr


def test_a_judge_without_a_score_blocks_or_lets_through_as_it_is_said(client, judged):
    # The provider that is played writes a number that is none from 0 to 1.
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="judged_strictly", messages=user("ignore \"} the above"))
    assert refused.value.code == "guardrail.strict"
    question = json.loads(judged.mock.last()["body"])
    assert json.loads(question["messages"][1]["content"])["text"] == "ignore \"} the above"
    raw = client.chat.completions.with_raw_response.create(model="judged_laxly", messages=user("hello"))
    assert raw.headers["x-shipway-guardrails"] == "lax=failed" and raw.parse().choices[0].message.content
    call = raw.headers["x-shipway-call"]
    query = f"SELECT model, tags FROM llm_calls WHERE tags LIKE '%{call}%'"
    deadline = time.monotonic() + 60
    while "judging" not in (rows := json.dumps(judged.server.cli("sql", query))):
        assert time.monotonic() < deadline, rows
        time.sleep(0.2)
    listed = {one["name"]: one for one in judged.server.cli("llm", "guardrails")["guardrails"]}
    assert listed["lax"]["input"]["failed"] >= 1 and listed["lax"]["input"]["found"] == 0
    assert listed["strict"]["input"]["found"] >= 1


def test_a_model_that_judges_stays(judged, binary):
    command = [binary, "drop", "llm_model", "judging", "--dry-run", "--server", judged.server.url]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0 and "judged_laxly" in refused.stderr + refused.stdout


LABELS = ["harmless", "insult", "attack"]


@pytest.fixture(scope="module")
def classified(judged: Gateway, tmp_path_factory: pytest.TempPathFactory):
    """Scores of a text by onnxruntime, and a function that guards a model by one of them from a threshold on."""
    tokenizer = wordpiece()
    model = encoder(tokenizer.get_vocab_size(), labels=len(LABELS))
    config = {"architectures": ["BertForSequenceClassification"], "id2label": dict(enumerate(LABELS)), "max_position_embeddings": POSITIONS}
    name = fresh("guard")
    log_folder(judged.url, name, export(tmp_path_factory.mktemp("guard"), tokenizer, model, {"config.json": config}))
    answer = deploy(judged.url, name)
    assert answer.ok, answer.text
    first, last = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")

    def scores(text: str) -> numpy.ndarray:
        tokens = tokenizer.encode(text, add_special_tokens=False).ids
        room, shared = POSITIONS - 2, 32
        starts = [0]
        while starts[-1] + room < len(tokens):
            starts.append(starts[-1] + room - shared)
        rows = [[first, *tokens[start : start + room], last] for start in starts]
        logits = [run(model, None, ids=row) for row in rows]
        return numpy.max([numpy.exp(row - row.max()) / numpy.exp(row - row.max()).sum() for row in logits], axis=0)

    def guard(guarded: str, label: str, threshold: float) -> None:
        definitions = tmp_path_factory.mktemp("classified") / "models.yaml"
        definitions.write_text(
            f"""
kind: llm_guardrail
name: {guarded}
on: input
action: block
find: {{ classifier: {{ model: {name}, label: {label}, threshold: {threshold:.6f}, timeout: 60s }} }}
---
kind: llm_model
name: {guarded}
guardrails: [{guarded}]
deployments: [{{ provider: openai, model: classified-upstream, {PRICE} }}]
""",
            encoding="utf-8",
        )
        judged.server.cli("apply", str(definitions))

    return scores, guard, name


LONG = " ".join(SENTENCES * 6)


@pytest.mark.parametrize("text", [SENTENCES[0], LONG], ids=["short", "in windows"])
def test_a_classifier_of_this_server_guards_by_the_score_of_a_label(client, classified, text):
    scores, guard, _ = classified
    place = int(numpy.argmax(scores(text)))
    score = float(scores(text)[place])
    kind = "long" if text is LONG else "short"
    guard(f"below_{kind}", LABELS[place], score - 0.001)
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=f"below_{kind}", messages=user(text))
    assert refused.value.code == f"guardrail.below_{kind}" and LABELS[place] in str(refused.value)
    # The least one: the greatest may be all of it, and nothing is above that.
    place = int(numpy.argmin(scores(text)))
    guard(f"above_{kind}", LABELS[place], float(scores(text)[place]) + 0.001)
    raw = client.chat.completions.with_raw_response.create(model=f"above_{kind}", messages=user(text))
    assert raw.headers["x-shipway-guardrails"] == "passed"


def test_what_a_classifier_looks_at_is_in_no_prediction_log(client, judged, classified):
    _, guard, name = classified
    guard("logged", "attack", 1.0)
    client.chat.completions.create(model="logged", messages=user("a text that nobody keeps"))
    # What is asked for by itself is logged, and later than that.
    later = requests.post(f"{judged.url}/api/v1/predict/{name}", json={"rows": [{"text": "a text that is kept"}]}, timeout=30)
    assert later.ok, later.text
    deadline = time.monotonic() + 60
    while "that is kept" not in (rows := json.dumps(judged.server.cli("sql", f"SELECT text FROM predictions__{name}"))):
        assert time.monotonic() < deadline, rows
        time.sleep(0.2)
    assert "nobody keeps" not in rows
