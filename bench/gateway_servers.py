"""Whether a budget holds when many call at once at two servers that share it."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from gateway_check import Check, NotServed, Target
from gateway_costs import AT_ONCE, BUDGET_DOLLARS, answered_at_once, holds
from gateway_sides import LITELLM, OPERATOR, OURS, UPSTREAM_KEY, definitions
from private_postgres import Postgres, newest_installed
from server import Failed, Server

KNOWN_WITHIN_SECONDS = 30.0


def _overshoot(target: Target) -> str:
    if target.name == LITELLM:
        raise NotServed("two of its servers share budgets through a database and Redis, which are off here")
    if target.name != OURS:
        raise NotServed("its limits need a database, which is off here")
    programs = newest_installed()
    if programs is None:
        raise NotServed("PostgreSQL is not on this machine")
    with ExitStack() as running:
        postgres = Postgres(programs)
        running.callback(postgres.stop)
        out = target.setting.out
        environment = {"SHIPWAY_TOKEN": OPERATOR, "SHIPWAY_METADATA__URL": postgres.create("servers")}
        for kind in ("openai", "anthropic"):
            prefix = f"SHIPWAY_PROVIDERS__{kind.upper()}__"
            environment |= {f"{prefix}KIND": kind, f"{prefix}BASE_URL": f"{target.sides.mock.url}/v1", f"{prefix}API_KEY": UPSTREAM_KEY}
        models = out / "servers-models.yaml"
        models.write_text(definitions())
        servers = []
        for role in ("owner", "replica"):
            data = out / f"data-servers-{os.getpid()}-{role}"
            server = Server(target.setting.shipway, data, out / f"servers-{role}.log", {**environment, "SHIPWAY_LLM__ROLE": role})
            running.callback(server.stop)
            servers.append(server)
            if role == "owner":
                server.cli("apply", str(models), "--token", OPERATOR)
        key = servers[0].cli("llm", "keys", "create", "tight", "--budget", f"{BUDGET_DOLLARS}/total", "--token", OPERATOR)["key"]
        headers = {"authorization": f"Bearer {key}"}
        _known(servers[1], headers)
        answered = answered_at_once([server.port for server in servers], headers)
    return holds("a key's, at an owner and a replica on one PostgreSQL,", answered)


def _known(server: Server, headers: dict[str, str]) -> None:
    deadline = time.monotonic() + KNOWN_WITHIN_SECONDS
    while True:
        try:
            with urlopen(Request(f"{server.url}/v1/models", headers=headers), timeout=30):
                return
        except HTTPError as refused:
            if time.monotonic() > deadline:
                raise Failed(f"the replica does not know a new key: {refused}") from refused
        time.sleep(0.05)


CHECKS: dict[str, Check] = {f"a budget under {AT_ONCE} calls at once at two servers": _overshoot}
