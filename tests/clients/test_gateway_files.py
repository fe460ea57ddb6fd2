"""Files and batches of the unmodified `openai` client through the gateway: whose they are, where they lie, what they cost."""

from __future__ import annotations

import io
import json
import time
from decimal import Decimal

import openai
import pytest
import requests
from gateway_setup import SECRET, Gateway


@pytest.fixture
def client(gateway: Gateway):
    with openai.OpenAI(base_url=gateway.openai, api_key=gateway.key, max_retries=0) as opened:
        yield opened


def calls(*bodies: dict, url: str = "/v1/chat/completions") -> io.BytesIO:
    lines = [json.dumps({"custom_id": f"call-{number}", "method": "POST", "url": url, "body": body}) for number, body in enumerate(bodies)]
    file = io.BytesIO("\n".join(lines).encode())
    file.name = "calls.jsonl"
    return file


def chat(text: str, **more) -> dict:
    return {"model": "gpt-mock", "messages": [{"role": "user", "content": text}], "max_tokens": 50, **more}


def until_over(client: openai.OpenAI, batch: str):
    for _ in range(10):
        found = client.batches.retrieve(batch)
        if found.status in ("completed", "failed", "expired", "cancelled"):
            return found
    raise AssertionError(f"batch {batch} is not over")


def spent(gateway: Gateway, key: str) -> Decimal:
    """What the key has spent for ever, in dollars; asked until it stands still."""
    before = None
    for _ in range(50):
        shown = requests.get(f"{gateway.url}/api/v1/llm/keys/{key.split('_')[2]}", timeout=30).json()
        now = Decimal(shown["used"]["dollars"]["total"])
        if now == before:
            return now
        before = now
        time.sleep(0.2)
    raise AssertionError("what was spent does not stand still")


def test_calls_of_a_file_are_worked_off_and_charged_what_they_used(gateway):
    key = gateway.new_key("batches")
    with openai.OpenAI(base_url=gateway.openai, api_key=key, max_retries=0) as client:
        file = client.files.create(file=calls(chat("ahoy"), chat("land"), chat("ho")), purpose="batch")
        arrived = gateway.mock.last()
        assert arrived["target"] == "/v1/files"
        # The provider got its own name for the model.
        lying = client.files.content(file.id).text.splitlines()
        assert [json.loads(line)["body"]["model"] for line in lying] == ["gpt-upstream"] * 3
        begun = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"who": "me"})
        assert begun.status == "in_progress" and begun.metadata == {"who": "me"}
        reserved = spent(gateway, key)
        # Three answers of 50 tokens at 10 dollars for a million, and what they read.
        assert reserved > Decimal("0.0015")
        over = until_over(client, begun.id)
        assert over.status == "completed" and over.request_counts.completed == 3
        answers = [json.loads(line) for line in client.files.content(over.output_file_id).text.splitlines()]
        assert [answer["custom_id"] for answer in answers] == ["call-0", "call-1", "call-2"]
        used = [answer["response"]["body"]["usage"] for answer in answers]
        cost = sum(Decimal(usage["prompt_tokens"]) / 10**6 + Decimal(usage["completion_tokens"]) / 10**5 for usage in used)
        assert 0 < cost < reserved
        assert spent(gateway, key) == cost
        # Once, however often it is looked at.
        until_over(client, begun.id)
        assert spent(gateway, key) == cost


@pytest.mark.parametrize(("end", "status"), [("fail", "failed"), ("expire", "expired")])
def test_what_was_not_worked_off_is_given_back(gateway, end, status):
    key = gateway.new_key(f"batch {end}")
    with openai.OpenAI(base_url=gateway.openai, api_key=key, max_retries=0) as client:
        file = client.files.create(file=calls(*(chat(f"ahoy {n}") for n in range(4))), purpose="batch")
        begun = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"mock": end})
        reserved = spent(gateway, key)
        over = until_over(client, begun.id)
        assert over.status == status
        answers = client.files.content(over.output_file_id).text.splitlines() if over.output_file_id else []
        assert len(answers) == (2 if end == "expire" else 0)
        left = spent(gateway, key)
        assert left < reserved and (left > 0) == bool(answers)


def test_a_batch_that_is_cancelled_costs_nothing(gateway):
    key = gateway.new_key("batch cancelled")
    with openai.OpenAI(base_url=gateway.openai, api_key=key, max_retries=0) as client:
        file = client.files.create(file=calls(chat("ahoy")), purpose="batch")
        begun = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        assert client.batches.cancel(begun.id).status == "cancelling"
        assert until_over(client, begun.id).status == "cancelled"
        assert spent(gateway, key) == 0


def test_what_lies_there_is_its_owners_alone(client, gateway):
    file = client.files.create(file=calls(chat("ahoy")), purpose="batch")
    begun = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    with openai.OpenAI(base_url=gateway.openai, api_key=gateway.new_key("stranger"), max_retries=0) as stranger:
        for asked in (
            lambda: stranger.files.retrieve(file.id),
            lambda: stranger.files.content(file.id),
            lambda: stranger.files.delete(file.id),
            lambda: stranger.batches.retrieve(begun.id),
            lambda: stranger.batches.cancel(begun.id),
            lambda: stranger.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"),
        ):
            with pytest.raises(openai.NotFoundError):
                asked()
        assert not stranger.files.list().data and not stranger.batches.list().data
    assert file.id in [one.id for one in client.files.list(purpose="batch")]
    assert begun.id in [one.id for one in client.batches.list(limit=1)], "pages go on"
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_pages_follow_each_other(gateway):
    with openai.OpenAI(base_url=gateway.openai, api_key=gateway.new_key("pages"), max_retries=0) as client:
        sent = [client.files.create(file=calls(chat(f"ahoy {n}")), purpose="batch").id for n in range(5)]
        assert [file.id for file in client.files.list(limit=2)] == sent[::-1]
        assert [file.id for file in client.files.list(limit=2, order="asc")] == sent
        with pytest.raises(openai.BadRequestError, match="limit"):
            client.files.list(limit=0)


def test_a_budget_holds_for_all_calls_of_a_file(gateway):
    key = gateway.new_key("small", limits={"budgets": [{"dollars": "0.001", "window": "day"}]})
    with openai.OpenAI(base_url=gateway.openai, api_key=key, max_retries=0) as client:
        file = client.files.create(file=calls(*(chat(f"ahoy {n}") for n in range(4))), purpose="batch")
        with pytest.raises(openai.APIStatusError) as refused:
            client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        assert refused.value.status_code == 402
        assert spent(gateway, key) == 0
        client.chat.completions.create(**chat("hello"))


def test_other_files_go_where_a_model_is(client, gateway):
    document = io.BytesIO(b"what is known of ships\r\n--not-a-boundary")
    document.name = "ships \"old\".txt"
    file = client.files.create(file=document, purpose="user_data", extra_headers={"x-shipway-model": "gpt-mock"})
    assert client.files.retrieve(file.id).purpose == "user_data"
    assert client.files.content(file.id).read() == document.getvalue()
    # All models of the key are at one provider of that API.
    assert client.files.create(file=document, purpose="user_data").id != file.id
    assert SECRET not in str(gateway.mock.last())
    with pytest.raises(openai.BadRequestError, match="input_file_id"):
        client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    with pytest.raises(openai.NotFoundError, match="nobody"):
        client.files.create(file=document, purpose="user_data", extra_headers={"x-shipway-model": "nobody"})
    with pytest.raises(openai.BadRequestError, match="claude"):
        client.files.create(file=document, purpose="user_data", extra_headers={"x-shipway-model": "claude"})


def test_a_file_of_calls_is_read_before_it_goes_on(client, gateway):
    before = gateway.mock.mark()
    for file, said in [
        (calls(chat("a"), {**chat("b"), "model": "other"}), "line 2"),
        (calls(chat("a"), url="/v1/files"), "url /v1/files"),
        (calls(), "no calls"),
        (calls({"messages": []}), "names no model"),
    ]:
        with pytest.raises(openai.BadRequestError, match=said):
            client.files.create(file=file, purpose="batch")
    with pytest.raises(openai.NotFoundError):
        client.files.create(file=calls({**chat("a"), "model": "nobody"}), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="claude"):
        client.files.create(file=calls({**chat("a"), "model": "claude"}), purpose="batch")
    limited = gateway.new_key("no files", models=["claude"])
    with openai.OpenAI(base_url=gateway.openai, api_key=limited, max_retries=0) as stranger, pytest.raises(openai.PermissionDeniedError):
        stranger.files.create(file=calls(chat("a")), purpose="batch")
    file = client.files.create(file=calls(chat("a")), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="endpoint"):
        client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
    assert [request["target"] for request in gateway.mock.requests(since=before)] == ["/v1/files"]
