"""A configuration of LiteLLM is turned into definitions and providers that the server takes, and calls go where they went."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import openai
import requests
from mock_provider import MockProvider, script
from real_binary import Server

CONFIGURATION = """
model_list:
  - model_name: gpt-4o
    litellm_params: {{ model: openai/up-first, api_base: "{url}/v1", api_key: os.environ/THEIR_KEY, order: 1, input_cost_per_token: 2.0e-6, output_cost_per_token: 1.0e-5, temperature: 0.2 }}
  - model_name: gpt-4o
    litellm_params: {{ model: openai/up-second, api_base: "{url}/v1", api_key: os.environ/THEIR_KEY, order: 2, input_cost_per_token: 2.0e-6, output_cost_per_token: 1.0e-5 }}
router_settings: {{ num_retries: 0, model_group_alias: {{ gpt-4: gpt-4o }} }}
general_settings: {{ master_key: sk-their-master-key }}
"""


def run(binary: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binary, "import", "litellm", *arguments], capture_output=True, text=True, check=False)


def test_what_was_imported_answers_under_the_names_that_clients_use(binary: str, mock: MockProvider, tmp_path: Path):
    config, into = tmp_path / "config.yaml", tmp_path / "into"
    config.write_text(CONFIGURATION.format(url=mock.url))
    done = run(binary, str(config), "--into", str(into), "--output", "json")
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["environment"] == {"SHIPWAY_PROVIDERS__OPENAI__API_KEY": "THEIR_KEY"}
    assert [left["place"] for left in said["left_out"]] == ["model_list[0].litellm_params.temperature", "general_settings.master_key"]
    assert "sk-" not in done.stdout
    # Nothing that is there is written over.
    again = run(binary, str(config), "--into", str(into))
    assert again.returncode == 1 and "llm-models.yaml" in again.stderr

    environment = {"SHIPWAY_PROVIDERS__OPENAI__API_KEY": "their-key"}
    server = Server(binary, tmp_path / "data", tmp_path / "log", environment, into / "providers.toml")
    try:
        server.cli("apply", str(into / "llm-models.yaml"))
        key = requests.post(f"{server.url}/api/v1/llm/keys", json={"name": "theirs"}, timeout=30).json()["key"]
        mark = mock.mark()
        mock.next("status=500", model="up-first")
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client:
            raw = client.chat.completions.with_raw_response.create(model="gpt-4", messages=[{"role": "user", "content": script("input=100,output=9")}])
        # 100 at 2 and 9 at 10 dollars for a million.
        assert float(raw.headers["x-shipway-cost"]) == 290e-6
        assert [request["model"] for request in mock.requests(since=mark, ended=2)] == ["up-first", "up-second"]
    finally:
        server.stop()


def test_what_is_no_configuration_is_refused_with_its_line(binary: str, tmp_path: Path):
    config = tmp_path / "config.yaml"
    config.write_text("a: 1\nmodel_list: 7\n")
    done = run(binary, str(config))
    assert done.returncode == 1 and "line 2" in done.stderr and "config.yaml" in done.stderr
    assert run(binary, str(tmp_path / "nothing.yaml")).returncode == 1
