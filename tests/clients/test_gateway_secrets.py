"""Secrets of providers that Shipway keeps: put from standard input, in force at once, never shown."""

from __future__ import annotations

import secrets as randomness
import subprocess
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import requests
from mock_provider import MockProvider
from real_binary import Server

MODEL = """
kind: llm_model
name: chat
deployments: [{ provider: main, model: up, price: { input: 1, output: 10 } }]
retries: { overloaded: 0, connection: 0 }
cooldown: { failures: 1000, pause: 1s }
"""
VALUE = "sk-kept-and-never-shown"


@pytest.fixture
def server(binary: str, mock: MockProvider, tmp_path: Path) -> Iterator[Server]:
    environment = {
        "SHIPWAY_PROVIDERS__MAIN__BASE_URL": f"{mock.url}/v1",
        "SHIPWAY_PROVIDERS__MAIN__API_KEY_SECRET": "main",
        "SHIPWAY_SECRETS__KEY": randomness.token_hex(32),
    }
    started = Server(binary, tmp_path / "data", tmp_path / "server.log", environment)
    (tmp_path / "models.yaml").write_text(MODEL)
    started.cli("apply", str(tmp_path / "models.yaml"))
    yield started
    started.stop()


def secrets(binary: str, server: Server, *arguments: str, value: str = "") -> str:
    command = [binary, "llm", "secrets", *arguments, "--server", server.url]
    done = subprocess.run(command, input=value, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_secret_is_kept_shown_to_its_provider_alone_and_forgotten(binary, server, tmp_path):
    key = server.cli("llm", "keys", "create", "test")["key"]
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client:

        def ask() -> None:
            client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hello"}])

        with pytest.raises(openai.APIStatusError):
            ask()
        said = secrets(binary, server, "put", "main", value=f"{VALUE}\n")
        ask()
        said += secrets(binary, server, "list") + secrets(binary, server, "rekey")
        ask()
        said += secrets(binary, server, "delete", "main")
        with pytest.raises(openai.APIStatusError):
            ask()
    listed = requests.get(f"{server.url}/api/v1/llm/secrets", timeout=30)
    assert listed.json() == {"secrets": []}
    assert VALUE not in said + server.log()
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or VALUE.encode() not in path.read_bytes(), path
