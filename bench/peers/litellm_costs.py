"""A callback for LiteLLM's proxy: one line for each call that it settles, with what it says the call cost.

Its own record of what was spent needs a database; this is the other place where it tells. Used by the scorecard only: no time is taken with it.
"""

from __future__ import annotations

import json
import os

from litellm.integrations.custom_logger import CustomLogger


class Recorder(CustomLogger):
    """Appends to the file that BENCH_COSTS names."""

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time) -> None:
        self._note("answered", kwargs)

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time) -> None:
        self._note("failed", kwargs)

    def _note(self, outcome: str, kwargs: dict) -> None:
        line = {"outcome": outcome, "model": kwargs.get("model"), "cost": kwargs.get("response_cost"), "stream": bool(kwargs.get("stream"))}
        with open(os.environ["BENCH_COSTS"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


recorder = Recorder()
