"""What the provider that is played says of itself: the requests that arrived and how each ended; and scripts for those that come next."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.parse import urlencode

PATIENCE_MS = 20_000


class Journal:
    """The journal of the provider at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def requests(self, *, since: int = 0, ended: int = 0) -> list[dict[str, Any]]:
        """The requests after the one numbered `since`, once `ended` of them have ended, or twenty seconds later."""
        query = urlencode({"since": since, "ended": ended, "wait_ms": PATIENCE_MS if ended else 0})
        return self._asked("GET", f"journal?{query}")["requests"]

    def mark(self) -> int:
        """The number of the newest request."""
        return max((request["number"] for request in self.requests()), default=0)

    def counters(self) -> dict[str, int]:
        return self._asked("GET", "counters")

    def next(self, model: str, *scripts: str) -> None:
        """Lets the next requests for `model` have these scripts, one each."""
        self._asked("PUT", "scripts", {"model": model, "scripts": list(scripts)})

    def forget(self) -> None:
        self._asked("DELETE", "journal")

    def _asked(self, method: str, path: str, body: dict | None = None) -> Any:
        content = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self._url}/_mock/{path}", content, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text.strip() else {}
