"""A server that asks who its callers are, with a gateway in front of the provider that is played: for what keys may do, and what it costs."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import requests
from mock_provider import MockProvider, program
from real_binary import Server

OPERATOR = "the token of the operator"

# Dollars for a million tokens: so many billionths of a dollar for one are a thousand times that.
MODELS = """
kind: llm_model
name: chat
deployments:
  - { provider: first, model: up-first, price: { input: 2, cached_input: 0.2, output: 10 }, max_output_tokens: 1000 }
  - { provider: second, model: up-second, price: { input: 2, cached_input: 0.2, output: 10 }, max_output_tokens: 1000 }
retries: { overloaded: 0, connection: 0 }
cooldown: { failures: 1000, pause: 1s }
timeouts: { first_token: 5s, idle: 2s, total: 30s }
---
kind: llm_model
name: embed
deployments: [{ provider: first, model: embed-mock, price: { input: 0.5, output: 0 } }]
---
kind: llm_model
name: claude
deployments:
  - { provider: claude, model: claude-up, price: { input: 3, cached_input: 0.3, cache_write: 3.75, output: 15 }, max_output_tokens: 1000 }
timeouts: { first_token: 5s, idle: 2s, total: 30s }
"""


class GuardedGateway:
    """The server and its provider, both of their own: the server is killed on the way."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        self.mock = MockProvider(program())
        self._environment = {"SHIPWAY_TOKEN": OPERATOR}
        for name, kind in [("FIRST", "openai"), ("SECOND", "openai"), ("CLAUDE", "anthropic")]:
            self._environment[f"SHIPWAY_PROVIDERS__{name}__KIND"] = kind
            self._environment[f"SHIPWAY_PROVIDERS__{name}__BASE_URL"] = f"{self.mock.url}/v1"
            self._environment[f"SHIPWAY_PROVIDERS__{name}__API_KEY"] = f"sk-operator-{name.lower()}"
        self._starts = 0
        self.start()
        definitions = folder / "models.yaml"
        definitions.write_text(textwrap.dedent(MODELS))
        self.cli("apply", str(definitions), "--no-wait")

    def start(self) -> None:
        self._starts += 1
        log = self._folder / f"server-{self._starts}.log"
        self.server = Server(self._binary, self._folder / "data", log, self._environment)

    @property
    def url(self) -> str:
        return self.server.url

    def cli(self, *arguments: str) -> dict[str, Any]:
        return self.server.cli(*arguments, "--token", OPERATOR)

    def native(self, path: str) -> dict[str, Any]:
        found = requests.get(f"{self.url}/api/v1{path}", headers={"authorization": f"Bearer {OPERATOR}"}, timeout=30)
        assert found.status_code == 200, found.text
        return found.json()

    def native_post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {OPERATOR}"}
        found = requests.post(f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=60)
        assert found.status_code == 200, found.text
        return found.json()

    def key(self, *arguments: str) -> dict[str, Any]:
        """A new key: its `id`, and itself as `key`."""
        return self.cli("llm", "keys", "create", "test", *arguments)

    def used(self, key: dict[str, Any]) -> dict[str, Any]:
        return self.native(f"/llm/keys/{key['id']}")["used"]

    def stop(self) -> None:
        self.server.stop()
        self.mock.stop()
