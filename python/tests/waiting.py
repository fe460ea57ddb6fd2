"""Waiting until something that the server shows is so."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

WITHIN_SECONDS = 60.0


def first_becomes(ask: Callable[[], Sequence[Any]], holds: Callable[[Any], Any]) -> Any:
    """The first of what is answered, as soon as it is as wanted."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not holds(first := ask()[0]):
        assert time.monotonic() < deadline, first._repr_html_()
        time.sleep(0.05)
    return first
