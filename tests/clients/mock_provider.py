"""The provider that is played (crates/shipway-mock-provider), as a process of its own: its scripts, and its journal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

__all__ = ["MockProvider", "PIXEL", "WEATHER", "mock", "program", "script"]

# One pixel, and its address as data.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

# What tools of all dialects take.
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


def script(words: str, said: str = "hello") -> str:
    """What a user says so that the provider answers as `words` say."""
    return f"[[mock: {words}]] {said}"


def program() -> str:
    """The path in SHIPWAY_MOCK_PROVIDER, or what was built beside the server in SHIPWAY_BINARY."""
    named = os.environ.get("SHIPWAY_MOCK_PROVIDER")
    if not named:
        binary = os.environ.get("SHIPWAY_BINARY")
        assert binary, "SHIPWAY_BINARY names no binary: run `make clients`"
        named = str(Path(binary).with_name("shipway-mock-provider"))
    assert Path(named).exists(), f"{named} is not there: build the workspace, or name it in SHIPWAY_MOCK_PROVIDER"
    return named


class MockProvider:
    """A running provider; `flags` are those of its command line."""

    def __init__(self, program: str, *flags: str) -> None:
        self._process = subprocess.Popen([program, "--port", "0", *flags], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        first = self._process.stdout.readline().strip()
        assert first.isdigit(), f"the provider did not start: {first}"
        self.pid = self._process.pid
        self.url = f"http://127.0.0.1:{first}"
        self._session = requests.Session()

    def stop(self) -> int:
        self._process.terminate()
        code = self._process.wait(timeout=30)
        self._session.close()
        if self._process.stdout:
            self._process.stdout.close()
        return code

    def requests(self, *, ended: int = 0, since: int = 0) -> list[dict[str, Any]]:
        """The requests after the one numbered `since`, once `ended` of them have ended; a minute later those that are there."""
        asked = {"ended": ended, "since": since, "wait_ms": 60_000 if ended else 0}
        found = self._session.get(f"{self.url}/_mock/journal", params=asked, timeout=90)
        assert found.status_code == 200, found.text
        return found.json()["requests"]

    def last(self) -> dict[str, Any]:
        """The newest request, once all that arrived have ended."""
        arrived = self.requests()
        return self.requests(ended=len(arrived))[-1]

    def mark(self) -> int:
        """The number of the newest request: what comes later is `since` it."""
        return max((request["number"] for request in self.requests()), default=0)

    def body(self, number: int) -> bytes:
        """The bytes of a request's body, as they arrived."""
        found = self._session.get(f"{self.url}/_mock/journal/{number}/body", timeout=30)
        assert found.status_code == 200, found.text
        return found.content

    def counters(self) -> dict[str, int]:
        return self._session.get(f"{self.url}/_mock/counters", timeout=30).json()

    def next(self, *scripts: str, model: str = "*") -> None:
        """Lets the next requests for `model` have these scripts, one each."""
        asked = {"model": model, "scripts": list(scripts)}
        done = self._session.put(f"{self.url}/_mock/scripts", json=asked, timeout=30)
        assert done.status_code == 200, done.text

    def forget(self) -> None:
        assert self._session.delete(f"{self.url}/_mock/journal", timeout=30).status_code == 200


@pytest.fixture(scope="session")
def mock() -> Iterator[MockProvider]:
    """One provider for the session: tests of it look at what came since their `mark`."""
    started = MockProvider(program())
    yield started
    assert started.stop() == 0
