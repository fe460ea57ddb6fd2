"""A server with its gateway in front of Bedrock and Vertex as they are played: signatures and access tokens are looked at there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest
import requests
from gateway_setup import PATIENT, Gateway
from google import genai
from google.genai import types
from mock_provider import MockProvider, program
from real_binary import Server

__all__ = ["API_KEY", "ID", "REGION", "SECRET", "TOKEN", "chat", "claude", "clouds", "gemini", "signed_mock", "user"]

ID, SECRET, TOKEN, REGION = "AKIDMOCK", "mock/secret+key", "session-token", "eu-central-1"
API_KEY = "bedrock-api-key"
CLAUDE = "us.anthropic.claude-mock-v1:0"

PRICE = "price: { input: 1, cached_input: 0.1, cache_write: 1.25, cache_write_1h: 2, output: 10 }"
DEFINITIONS = f"""
kind: llm_model
name: claude
deployments: [{{ provider: bedrock, model: "{CLAUDE}", {PRICE} }}]
{PATIENT}
---
kind: llm_model
name: profile
deployments: [{{ provider: bedrock_key, model: "arn:aws:bedrock:eu-central-1:1:application-inference-profile/abc", {PRICE} }}]
{PATIENT}
---
kind: llm_model
name: refused
deployments: [{{ provider: wrong, model: m, {PRICE} }}]
{PATIENT}
---
kind: llm_model
name: spared
deployments:
  - {{ name: first, provider: wrong, model: m, {PRICE} }}
  - {{ name: second, provider: bedrock, model: m, {PRICE} }}
{PATIENT}
---
kind: llm_model
name: lenient
lossy: drop
deployments: [{{ provider: bedrock, model: m, {PRICE} }}]
{PATIENT}
---
kind: llm_model
name: gemini
deployments: [{{ provider: vertex, model: gemini-upstream, {PRICE} }}]
{PATIENT}
---
kind: llm_model
name: opus
deployments: [{{ provider: vertex, model: claude-upstream@20260101, {PRICE} }}]
{PATIENT}
---
kind: llm_model
name: fallback
deployments:
  - {{ name: first, provider: stranger, model: gemini-upstream, {PRICE} }}
  - {{ name: second, provider: vertex, model: gemini-upstream, {PRICE} }}
{PATIENT}
"""


@pytest.fixture(scope="session")
def signed_mock() -> Iterator[MockProvider]:
    """A provider that asks for signatures, for an API key, and for tokens once it has handed out a service account."""
    started = MockProvider(program(), "--aws-key", f"{ID}:{SECRET}:{TOKEN}", "--accept-keys", API_KEY, "--token-seconds", "6")
    yield started
    started.stop()


@pytest.fixture(scope="session")
def clouds(binary: str, signed_mock: MockProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("clouds")
    account = requests.get(f"{signed_mock.url}/_mock/service_account", timeout=30).json()
    file = folder / "account.json"
    file.write_text(json.dumps(account), encoding="utf-8")
    # Somebody with a key of their own, whom the provider does not know.
    other = MockProvider(program())
    stranger = requests.get(f"{other.url}/_mock/service_account", timeout=30).json() | {"token_uri": account["token_uri"]}
    other.stop()
    aws = {"KIND": "bedrock", "REGION": REGION, "BASE_URL": signed_mock.url}
    google = {"KIND": "vertex", "PROJECT": "mock-project", "LOCATION": "europe-west4", "BASE_URL": signed_mock.url}
    keys = {"ACCESS_KEY_ID": ID, "SESSION_TOKEN": TOKEN}
    providers = {
        "BEDROCK": aws | keys | {"SECRET_ACCESS_KEY": SECRET},
        "WRONG": aws | keys | {"SECRET_ACCESS_KEY": "another"},
        "BEDROCK_KEY": aws | {"API_KEY": API_KEY},
        "VERTEX": google | {"SERVICE_ACCOUNT_FILE": str(file)},
        "STRANGER": google | {"SERVICE_ACCOUNT": json.dumps(stranger)},
    }
    environment = {
        f"SHIPWAY_PROVIDERS__{provider}__{name}": value for provider, members in providers.items() for name, value in members.items()
    }
    server = Server(binary, folder / "data", folder / "server.log", environment)
    (folder / "models.yaml").write_text(DEFINITIONS, encoding="utf-8")
    server.cli("apply", str(folder / "models.yaml"))
    started = Gateway(server, signed_mock, "")
    yield started._replace(key=started.new_key("clients"))
    log = server.log()
    assert SECRET not in log and "PRIVATE KEY" not in log and "ya29." not in log
    server.stop()


@pytest.fixture
def chat(clouds: Gateway):
    with openai.OpenAI(base_url=clouds.openai, api_key=clouds.key, max_retries=0) as opened:
        yield opened


@pytest.fixture
def claude(clouds: Gateway):
    with anthropic.Anthropic(base_url=clouds.url, api_key=clouds.key, max_retries=0) as opened:
        yield opened


@pytest.fixture
def gemini(clouds: Gateway):
    options = types.HttpOptions(base_url=clouds.url, retry_options=types.HttpRetryOptions(attempts=1))
    with genai.Client(api_key=clouds.key, http_options=options) as opened:
        yield opened


def user(said) -> list[dict]:
    return [{"role": "user", "content": said}]
