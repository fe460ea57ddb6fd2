"""A server with its gateway in front of the provider that is played: models, providers and keys are set up here and nowhere else."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from mock_provider import MockProvider
from real_binary import Server

__all__ = ["Gateway", "Raw", "gateway", "raw_post"]

# What opens the provider; no client may ever see it.
SECRET = "sk-upstream-secret"

PRICE = "price: { input: 1, cached_input: 0.1, cache_write: 1.25, output: 10 }"
PATIENT = "retries: { rate_limit: 0, overloaded: 0, connection: 0, timeout: 0 }\ncooldown: { failures: 1000, pause: 1s }"
DEFINITIONS = f"""
kind: llm_model
name: chat
called: [gpt-mock]
deployments: [{{ provider: openai, model: gpt-upstream, {PRICE} }}]
{PATIENT}
---
kind: llm_model
name: claude
called: [claude-mock]
deployments: [{{ provider: anthropic, model: claude-upstream, {PRICE} }}]
{PATIENT}
---
kind: llm_model
name: gemini
called: [gemini-mock]
deployments: [{{ provider: gemini, model: gemini-upstream, {PRICE} }}]
{PATIENT}
---
kind: llm_model
name: across
deployments:
  - {{ provider: anthropic, model: across-claude, price: {{ input: 3, cached_input: 0.3, cache_write: 3.75, output: 15 }} }}
  - {{ provider: gemini, model: across-gemini, price: {{ input: 0.3, cached_input: 0.075, output: 2.5 }} }}
  - {{ provider: openai, model: across-gpt, price: {{ input: 0.25, cached_input: 0.025, output: 2 }} }}
{PATIENT}
---
kind: llm_model
name: lenient
lossy: drop
deployments: [{{ provider: anthropic, model: lenient-upstream, {PRICE}, max_output_tokens: 777 }}]
{PATIENT}
---
kind: llm_model
name: embeddings
called: [embed-mock]
deployments: [{{ provider: openai, model: embed-upstream, {PRICE} }}]
---
kind: llm_model
name: guarded
deployments: [{{ provider: openai, model: guarded-upstream, {PRICE} }}]
---
kind: llm_model
name: spared
deployments:
  - {{ name: first, provider: openai, model: spared-first, {PRICE} }}
  - {{ name: second, provider: openai, model: spared-second, {PRICE} }}
{PATIENT}
---
kind: llm_model
name: patient
deployments: [{{ provider: openai, model: patient-upstream, {PRICE} }}]
retries: {{ rate_limit: 2, overloaded: 2, connection: 2, timeout: 0 }}
cooldown: {{ failures: 1000, pause: 1s }}
---
kind: llm_model
name: hasty
deployments: [{{ provider: openai, model: hasty-upstream, {PRICE} }}]
timeouts: {{ first_token: 1s, idle: 1s, total: 60s }}
{PATIENT}
"""


class Gateway(NamedTuple):
    """The server, the provider behind it, and a key that may use every model."""

    server: Server
    mock: MockProvider
    key: str

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def openai(self) -> str:
        """The base address of OpenAI's clients."""
        return f"{self.url}/v1"

    def apply(self, folder: Path, definitions: str) -> None:
        """Puts definitions in force, beside those that are."""
        file = folder / "models.yaml"
        file.write_text(definitions, encoding="utf-8")
        self.server.cli("apply", str(file))

    def new_key(self, name: str, **more: Any) -> str:
        """A virtual key: `models`, `limits`, `group`, `days`."""
        made = requests.post(f"{self.url}/api/v1/llm/keys", json={"name": name, **more}, timeout=30)
        assert made.status_code == 201, made.text
        return made.json()["key"]


@pytest.fixture(scope="session")
def gateway(binary: str, mock: MockProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    environment = {}
    for kind, path in [("openai", "/v1"), ("anthropic", "/v1"), ("gemini", "/v1beta")]:
        prefix = f"SHIPWAY_PROVIDERS__{kind.upper()}__"
        environment |= {f"{prefix}KIND": kind, f"{prefix}BASE_URL": f"{mock.url}{path}", f"{prefix}API_KEY": SECRET}
    server = Server(binary, folder / "data", folder / "server.log", environment)
    (folder / "models.yaml").write_text(DEFINITIONS, encoding="utf-8")
    server.cli("apply", str(folder / "models.yaml"))
    started = Gateway(server, mock, "")
    yield started._replace(key=started.new_key("clients"))
    assert SECRET not in server.log()
    server.stop()


class Raw(NamedTuple):
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    def frames(self) -> list[bytes]:
        """The events of a stream, each with the empty line that ends it."""
        return [frame + b"\n\n" for frame in self.body.split(b"\n\n")[:-1]]


def raw_post(base: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> Raw:
    """Posts `body`; nothing of the answer is decoded. A body that ends too early is `http.client.IncompleteRead`."""
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", path, body, {"content-type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return Raw(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()
