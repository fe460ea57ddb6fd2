"""The provider that is played answers the unmodified `boto3` client as Bedrock does, and looks at its signatures."""

from __future__ import annotations

import base64
import json
import zlib

import boto3
import botocore.exceptions
import pytest
import requests
from botocore.config import Config
from cloud_gateway import API_KEY, ID, REGION, SECRET, TOKEN
from mock_provider import PIXEL, WEATHER, MockProvider, script

MODEL = "us.anthropic.claude-mock-v1:0"
TOOLS = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": WEATHER}}}]}


def connect(mock: MockProvider, secret: str = SECRET, token: str | None = TOKEN):
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
    keys = {"aws_access_key_id": ID, "aws_secret_access_key": secret, "aws_session_token": token}
    return boto3.client("bedrock-runtime", region_name=REGION, endpoint_url=mock.url, config=config, **keys)


@pytest.fixture(scope="module")
def client(signed_mock: MockProvider):
    return connect(signed_mock)


def user(*blocks: dict) -> list[dict]:
    return [{"role": "user", "content": list(blocks)}]


def stream_of(client, words: str, **more) -> list[dict]:
    return list(client.converse_stream(modelId=MODEL, messages=user({"text": script(words)}), **more)["stream"])


def test_an_answer_and_its_stream_say_the_same(client):
    words = "input=1000,output=9,cached=300,cache_write=40,cache_write_1h=60"
    whole = client.converse(modelId=MODEL, messages=user({"text": script(words)}))
    events = stream_of(client, words)
    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    # Whole and streamed lie at two paths, and the body is the same.
    assert "".join(deltas) == whole["output"]["message"]["content"][0]["text"]
    assert [event["messageStop"]["stopReason"] for event in events if "messageStop" in event] == [whole["stopReason"]] == ["end_turn"]
    for usage in (whole["usage"], events[-1]["metadata"]["usage"]):
        # What is cached is beside the input.
        assert (usage["inputTokens"], usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"]) == (600, 300, 100)
        assert {detail["ttl"]: detail["inputTokens"] for detail in usage["cacheDetails"]} == {"1h": 60, "5m": 40}


def test_tools_images_documents_and_thoughts_come_and_go(client):
    messages = user({"text": script("tools=1,thinking=1")})
    turn = client.converse(modelId=MODEL, messages=messages, toolConfig=TOOLS)["output"]["message"]
    call = turn["content"][-1]["toolUse"]
    assert (call["name"], call["input"]) == ("weather", {"city": "text é", "days": 1})
    result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "sunny"}], "status": "success"}}
    messages += [turn, *user(result)]
    assert "messages=3" in client.converse(modelId=MODEL, messages=messages, toolConfig=TOOLS)["output"]["message"]["content"][-1]["text"]
    turn["content"][0]["reasoningContent"]["reasoningText"]["text"] = "changed"
    with pytest.raises(client.exceptions.ValidationException, match="signature"):
        client.converse(modelId=MODEL, messages=messages, toolConfig=TOOLS)
    image = {"image": {"format": "png", "source": {"bytes": base64.b64decode(PIXEL)}}}
    document = {"document": {"format": "txt", "name": "notes", "source": {"bytes": b"hello"}}}
    seen = client.converse(modelId=MODEL, messages=user({"text": "look"}, image, document))
    assert f"image={zlib.crc32(base64.b64decode(PIXEL)):08x}" in seen["output"]["message"]["content"][0]["text"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("error=rate_limit", "ThrottlingException"),
        ("error=context", "ValidationException"),
        ("error=permission", "AccessDeniedException"),
        ("error=not_found", "ResourceNotFoundException"),
        ("error=timeout", "ModelTimeoutException"),
        ("error=overloaded", "ServiceUnavailableException"),
        ("error=server", "InternalServerException"),
    ],
)
def test_errors_have_the_names_that_the_client_knows(client, words, error):
    with pytest.raises(getattr(client.exceptions, error)):
        client.converse(modelId=MODEL, messages=user({"text": script(words)}))


def test_a_stream_breaks_as_the_client_expects(client):
    with pytest.raises(botocore.exceptions.EventStreamError, match="throttlingException"):
        stream_of(client, "fault=error_frame:2,error=rate_limit")
    with pytest.raises(Exception, match="[Cc]hecksum"):
        stream_of(client, "fault=bad_checksum:2")
    with pytest.raises(Exception, match="(?i)connection|incomplete|ended"):
        stream_of(client, "fault=cut:2,interval=1ms")


def test_only_who_signs_with_the_secret_is_let_in(signed_mock):
    for wrong in (connect(signed_mock, secret="another"), connect(signed_mock, token="another")):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            wrong.converse(modelId=MODEL, messages=user({"text": "hello"}))
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_api_key_is_let_in_without_a_signature_and_nothing_else_is(signed_mock):
    # By hand: the client shows its API key over HTTPS only.
    def ask(headers: dict[str, str]) -> requests.Response:
        body = {"messages": user({"text": "hello"})}
        return requests.post(f"{signed_mock.url}/model/m/converse", json=body, headers=headers, timeout=30)

    assert ask({"authorization": f"Bearer {API_KEY}"}).json()["stopReason"] == "end_turn"
    for headers in ({"authorization": "Bearer another"}, {}):
        refused = ask(headers)
        assert (refused.status_code, refused.headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")


def test_tokens_are_counted_for_models_by_their_own_names(client):
    asked = {"converse": {"messages": user({"text": script("input=321")}), "system": [{"text": "be brief"}]}}
    assert client.count_tokens(modelId="anthropic.claude-mock-v1:0", input=asked)["inputTokens"] == 321
    for model in (MODEL, "amazon.nova-mock-v1:0"):
        with pytest.raises(botocore.exceptions.ClientError, match="doesn't support counting tokens"):
            client.count_tokens(modelId=model, input=asked)


def test_texts_are_embedded_in_the_words_of_the_models_maker(client):
    def invoke(model: str, **body) -> tuple[dict, str]:
        answer = client.invoke_model(modelId=model, body=json.dumps(body))
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return json.loads(answer["body"].read()), headers["x-amzn-bedrock-input-token-count"]

    titan, tokens = invoke("amazon.titan-embed-text-v2:0", inputText="eight by", dimensions=8)
    assert len(titan["embedding"]) == 8 and (titan["inputTextTokenCount"], tokens) == (2, "2")
    asked = {"texts": ["eight by", "b"], "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 8}
    cohere, tokens = invoke("cohere.embed-v4:0", **asked)
    assert cohere["embeddings"]["float"][0] == titan["embedding"] != cohere["embeddings"]["float"][1] and tokens == "3"
    for model, body in [("amazon.titan-embed-text-v2:0", {"texts": ["a"]}), ("cohere.embed-v4:0", {"texts": ["a"]}), (MODEL, {"inputText": "a"})]:
        with pytest.raises(botocore.exceptions.ClientError):
            invoke(model, **body)
