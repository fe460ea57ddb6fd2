"""Two servers on one PostgreSQL: limits are exact over both, whatever is killed or stopped on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
import requests
from mock_provider import MockProvider, program, script
from private_postgres import Postgres, newest_installed
from real_binary import Server

OPERATOR = "the token of the operator"
# Each call costs 10 * 2 + 90 * 10 millionths of a dollar.
MODEL = """
kind: llm_model
name: {name}
deployments: [{{ provider: first, model: up, price: {{ input: 2, output: 10 }}, max_output_tokens: 1000 }}]
"""
SAID = script("input=10,output=90")
COST = Decimal(920_000) / 1_000_000_000


class Two:
    """An owner, a replica, their PostgreSQL and their provider."""

    def __init__(self, binary: str, folder: Path, postgres: Postgres) -> None:
        self._binary, self._folder = binary, folder
        self.mock = MockProvider(program())
        self.environment = {
            "SHIPWAY_TOKEN": OPERATOR,
            "SHIPWAY_METADATA__URL": postgres.create("servers"),
            "SHIPWAY_PROVIDERS__FIRST__KIND": "openai",
            "SHIPWAY_PROVIDERS__FIRST__BASE_URL": f"{self.mock.url}/v1",
            "SHIPWAY_PROVIDERS__FIRST__API_KEY": "sk-operator",
        }
        self._starts = 0
        self.owner = self.start("owner")
        self.apply("chat")
        self.replica = self.start("replica")

    def start(self, role: str) -> Server:
        self._starts += 1
        log = self._folder / f"{role}-{self._starts}.log"
        return Server(self._binary, self._folder / role, log, {**self.environment, "SHIPWAY_LLM__ROLE": role})

    def apply(self, name: str) -> None:
        definitions = self._folder / f"{name}.yaml"
        definitions.write_text(MODEL.format(name=name))
        self.owner.cli("apply", str(definitions), "--no-wait", "--token", OPERATOR)

    def cli(self, server: Server, *arguments: str) -> dict[str, Any]:
        return server.cli(*arguments, "--token", OPERATOR)

    def key(self, *arguments: str) -> dict[str, Any]:
        """A new key that both know."""
        made = self.cli(self.owner, "llm", "keys", "create", "test", *arguments)
        until(lambda: self.models(self.replica, made) is not None, "the replica knows a new key")
        return made

    def models(self, server: Server, key: dict[str, Any]) -> set[str] | None:
        found = requests.get(f"{server.url}/v1/models", headers={"authorization": f"Bearer {key['key']}"}, timeout=30)
        return {model["id"] for model in found.json()["data"]} if found.status_code == 200 else None

    def used(self, server: Server, key: dict[str, Any]) -> dict[str, Any]:
        path = f"{server.url}/api/v1/llm/keys/{key['id']}"
        found = requests.get(path, headers={"authorization": f"Bearer {OPERATOR}"}, timeout=30)
        assert found.status_code == 200, found.text
        return found.json()["used"]

    def stop(self) -> None:
        self.replica.stop()
        self.owner.stop()
        self.mock.stop()


def until(found: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    programs = newest_installed()
    assert programs, "PostgreSQL is not installed: run scripts/setup"
    started = Postgres(programs)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def two(binary: str, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    started = Two(binary, tmp_path_factory.mktemp("two"), postgres)
    yield started
    started.stop()


def call(server: Server, key: dict[str, Any]) -> int:
    """The status of a call's answer."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key["key"], max_retries=0) as client:
        try:
            client.chat.completions.create(model="chat", messages=[{"role": "user", "content": SAID}], max_tokens=100)
        except openai.APIStatusError as refused:
            return refused.status_code
    return 200


def calls(servers: list[Server], key: dict[str, Any], count: int) -> list[int]:
    with ThreadPoolExecutor(32) as pool:
        return list(pool.map(lambda index: call(servers[index % len(servers)], key), range(count)))


def test_two_hundred_calls_at_once_over_two_servers_do_not_pass_a_budget(two):
    key = two.key("--budget", "0.02/total")
    statuses = calls([two.owner, two.replica], key, 200)
    assert set(statuses) == {200, 402}
    answered = statuses.count(200)
    assert answered * COST <= Decimal("0.02")
    for server in [two.owner, two.replica]:
        until(lambda server=server: Decimal(two.used(server, key)["dollars"]["total"]) == answered * COST, "both show the sum")
    # One after the other, the budget is used up to where one more call would not fit.
    while call(two.replica, key) == 200:
        answered += 1
    assert Decimal("0.02") - Decimal("0.0011") < answered * COST <= Decimal("0.02")


def test_requests_for_a_minute_are_exact_over_two_servers(two):
    key = two.key("--requests-per-minute", "40")
    statuses = calls([two.owner, two.replica], key, 100) + calls([two.replica, two.owner], key, 20)
    assert (statuses.count(200), statuses.count(429)) == (40, 80)


def test_what_changes_at_one_server_holds_at_the_other(two):
    key = two.key()
    assert call(two.replica, key) == 200
    two.apply("second")
    until(lambda: "second" in (two.models(two.replica, key) or set()), "a new model is known at the replica")
    two.cli(two.replica, "llm", "keys", "revoke", key["id"])
    until(lambda: call(two.owner, key) == 401, "a revoked key is refused at the owner")


def test_calls_of_a_replica_are_in_the_table_of_the_owner(two):
    key = two.key()
    for server in [two.owner, two.replica, two.replica]:
        assert call(server, key) == 200
    sql = f"SELECT count(*) AS calls, count(DISTINCT call) AS ids FROM llm_calls WHERE key = '{key['id']}'"

    def rows() -> list[dict[str, Any]]:
        return two.cli(two.owner, "sql", sql)["rows"]

    until(lambda: [list(row.values()) if isinstance(row, dict) else row for row in rows()] == [[3, 3]], "all calls are in the table")


def test_a_killed_replica_is_charged_once_and_its_lease_comes_back(two):
    key = two.key("--budget", "0.02/total")
    assert [call(two.replica, key) for _ in range(5)] == [200] * 5
    # What has not reached its log when it is killed is charged what it had reserved.
    until(lambda: Decimal(two.used(two.owner, key)["dollars"]["total"]) == 5 * COST, "what it spent is said")
    two.replica.kill()
    statuses = calls([two.owner], key, 20)
    answered = 5 + statuses.count(200)
    assert answered * COST <= Decimal("0.02")
    two.replica = two.start("replica")
    until(lambda: Decimal(two.used(two.owner, key)["dollars"]["total"]) == answered * COST, "what both spent is counted once")
    while call(two.owner, key) == 200:
        answered += 1
    assert Decimal("0.02") - Decimal("0.0011") < answered * COST <= Decimal("0.02")


def test_while_postgresql_is_away_keys_are_refused_unless_they_are_let_through(two, postgres):
    strict, open_key = two.key("--budget", "0.05/total"), two.key("--budget", "0.05/total", "--on-outage", "allow")
    assert call(two.replica, strict) == call(two.replica, open_key) == 200
    postgres.halt()
    try:
        until(lambda: call(two.replica, strict) == 503, "what was leased is used up")
        assert [call(two.replica, open_key) for _ in range(10)] == [200] * 10
    finally:
        postgres.start()
    until(lambda: call(two.replica, strict) == 200, "it goes on by itself")
    answered = sum(Decimal(two.used(two.replica, key)["dollars"]["total"]) for key in [strict, open_key])
    assert answered > 0
    until(lambda: call(two.owner, strict) == 402, "the budget is used up")
    until(lambda: Decimal(two.used(two.replica, strict)["dollars"]["total"]) > Decimal("0.0489"), "it is used up to its end")
    assert Decimal(two.used(two.owner, strict)["dollars"]["total"]) <= Decimal("0.05")


def test_a_server_that_would_not_share_is_refused(two, binary, tmp_path):
    for role, data, words in [
        ("replica", tmp_path / "first", "metadata.url is not set"),
        ("owner", tmp_path / "second", "the metadata are in SQLite"),
    ]:
        environment = {**two.environment, "SHIPWAY_LLM__ROLE": role}
        del environment["SHIPWAY_METADATA__URL"]
        with pytest.raises(Exception, match=words):
            Server(binary, data, tmp_path / f"{role}.log", environment)
