"""The sides of the lane `gateway`: the provider that is played, asked directly, and gateways in front of it, each on one core.

All servers run all the time; one is asked at a time. What each gateway does for a call, and what it cannot do here, is said in `about`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import psutil

from measure import progress
from processes import free_port, process
from server import Failed, Server
from setting import HERE, Setting
from tools import litellm_python, tensorzero_python

DIRECT, RELAY, OURS, LITELLM, TENSORZERO = "direct", "bare relay", "Shipway", "LiteLLM", "TensorZero"
#: The core of the gateways. The provider, the load generator and this process have the others.
CORE = {0}
OPERATOR = "the token of the operator"
#: LiteLLM refuses one that is easy to guess.
LITELLM_KEY = "sk-bench-3f9a7c1e5b2d8046"
UPSTREAM_KEY = "sk-upstream"
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"

#: Dollars for a million tokens, the same for every side.
PRICES = {"chat": {"input": 2.0, "cached_input": 0.2, "output": 10.0}, "claude": {"input": 3.0, "cached_input": 0.3, "cache_write": 3.75, "output": 15.0}}


@dataclass(frozen=True)
class GatewaySide:
    """A server that is running, and how it is asked."""

    name: str
    version: str
    port: int
    headers: dict[str, str]
    #: Names of the models at a provider that speaks OpenAI's API, and at one that speaks Anthropic's.
    chat: str
    claude: str
    #: In front of the paths of the APIs.
    prefix: str = ""
    pid: int = 0
    about: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def path(self, path: str) -> str:
        return self.prefix + path

    def processes(self) -> list[psutil.Process]:
        root = psutil.Process(self.pid)
        return [root, *root.children(recursive=True)]

    def processor_seconds(self) -> float:
        return sum(used.user + used.system for used in (each.cpu_times() for each in self.processes()))

    def resident_mib(self) -> float:
        return sum(each.memory_info().rss for each in self.processes()) / 2**20


@dataclass
class Mock:
    """The provider that is played."""

    port: int
    pid: int
    version: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class GatewaySides:
    """All sides that this machine allows."""

    mock: Mock
    shipway: Server
    #: What only passes bytes on, on the core of the gateways: what anything in between costs on this machine.
    relay: GatewaySide
    all: list[GatewaySide] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def direct(self) -> GatewaySide:
        return self.all[-1]

    @property
    def gateways(self) -> list[GatewaySide]:
        return self.all[:-1]


@contextmanager
def running(setting: Setting, *flags: str, recording: bool = False) -> Iterator[GatewaySides]:
    """Starts the provider with `flags` and every gateway in front of it, ours first, directly last; ends them at the end.

    Whatever else runs under this process until then has every core but the gateways'. With `recording`, a peer that says nowhere else
    what calls cost writes it down: not for times.
    """
    with ExitStack() as stack:
        everywhere = os.sched_getaffinity(0)
        others = everywhere - CORE
        if not others:
            raise Failed("the lane needs two cores: one for the gateway, the rest for the provider and the load generator")
        stack.callback(os.sched_setaffinity, 0, everywhere)
        os.sched_setaffinity(0, others)
        mock = stack.enter_context(_mock(setting, *flags))
        # What is started from here on inherits the one core.
        os.sched_setaffinity(0, CORE)
        try:
            ours, server = stack.enter_context(_shipway(setting, mock))
            sides = GatewaySides(mock, server, stack.enter_context(_relay(setting, mock)), [ours])
            recorder = settled_by_litellm(setting) if recording else None
            peers = {LITELLM: lambda: litellm(setting, mock, "litellm", {}, recorder), TENSORZERO: lambda: _tensorzero(setting, mock)}
            for name, start in peers.items():
                try:
                    sides.all.append(stack.enter_context(start()))
                except (Failed, subprocess.SubprocessError, OSError) as broken:  # a peer that cannot be had must not cost our own figures
                    sides.notes.append(f"{name} is left out: {str(broken).strip().splitlines()[-1]}")
        finally:
            os.sched_setaffinity(0, others)
        sides.all.append(GatewaySide(DIRECT, mock.version, mock.port, {}, "gpt-upstream", "claude-upstream", pid=mock.pid))
        sides.notes += [f"{side.name} {side.version}: {side.about}" for side in sides.gateways]
        sides.notes.append(f"every gateway has core {min(CORE)}; provider, load generator and this client share core(s) {', '.join(map(str, sorted(others)))}")
        yield sides


def mock_program(shipway: str) -> str:
    """The provider's program, beside the server's; or the one that SHIPWAY_MOCK_PROVIDER names."""
    return os.environ.get("SHIPWAY_MOCK_PROVIDER") or str(Path(shipway).resolve().with_name("shipway-mock-provider"))


@contextmanager
def _relay(setting: Setting, mock: Mock) -> Iterator[GatewaySide]:
    with _mock(setting, "--relay-to", f"127.0.0.1:{mock.port}") as relay:
        yield GatewaySide(RELAY, relay.version, relay.port, {}, "gpt-upstream", "claude-upstream", pid=relay.pid)


@contextmanager
def _mock(setting: Setting, *flags: str) -> Iterator[Mock]:
    program = mock_program(setting.shipway)
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    started = subprocess.Popen([program, "--port", "0", "--threads", "1", *flags], stdout=subprocess.PIPE, text=True)
    try:
        port = started.stdout.readline().strip() if started.stdout else ""
        if not port.isdigit():
            raise Failed(f"{program} did not start")
        yield Mock(int(port), started.pid, version)
    finally:
        started.terminate()
        started.wait(timeout=30)


def definitions() -> str:
    """The models of our side, and those of the checks: one that has a spare, one that is asked again, one that is given up soon."""
    price = json.dumps({**PRICES["chat"]})
    once = "retries: { overloaded: 0, connection: 0 }\ncooldown: { failures: 1000, pause: 1s }"
    return f"""
kind: llm_model
name: chat
deployments: [{{ provider: openai, model: gpt-upstream, price: {price}, max_output_tokens: 1000 }}]
{once}
---
kind: llm_model
name: claude
deployments: [{{ provider: anthropic, model: claude-upstream, price: {json.dumps(PRICES["claude"])}, max_output_tokens: 1000 }}]
{once}
---
kind: llm_model
name: spared
deployments:
  - {{ name: first, provider: openai, model: spared-first, price: {price} }}
  - {{ name: second, provider: openai, model: spared-second, price: {price} }}
{once}
---
kind: llm_model
name: patient
deployments: [{{ provider: openai, model: patient-upstream, price: {price} }}]
retries: {{ rate_limit: 2, overloaded: 2, connection: 2 }}
cooldown: {{ failures: 1000, pause: 1s }}
---
kind: llm_model
name: hasty
deployments: [{{ provider: openai, model: hasty-upstream, price: {price} }}]
timeouts: {{ first_token: 2s, idle: 2s, total: 30s }}
{once}
"""


@contextmanager
def _shipway(setting: Setting, mock: Mock) -> Iterator[tuple[GatewaySide, Server]]:
    """Ours, with everything on: callers are asked who they are, and the key has a budget and limits, as has its group."""
    environment = {"SHIPWAY_TOKEN": OPERATOR}
    for kind in ("openai", "anthropic"):
        prefix = f"SHIPWAY_PROVIDERS__{kind.upper()}__"
        environment |= {f"{prefix}KIND": kind, f"{prefix}BASE_URL": f"{mock.url}/v1", f"{prefix}API_KEY": UPSTREAM_KEY}
    data, models = setting.out / "data-gateway", setting.out / "gateway-models.yaml"
    models.write_text(definitions())
    server = Server(setting.shipway, data, setting.out / "server-gateway.log", environment)
    try:
        operator = ("--token", OPERATOR)
        server.cli("apply", str(models), *operator)
        limits = ("--budget", "1000000/month", "--requests-per-minute", "100000000", "--tokens-per-minute", "100000000000", "--concurrency", "10000")
        server.cli("llm", "groups", "put", "bench", "--kind", "project", *limits, *operator)
        key = server.cli("llm", "keys", "create", "bench", "--group", "bench", *limits, *operator)["key"]
        version = subprocess.run([setting.shipway, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
        about = (
            "a virtual key is checked; budget, requests and tokens a minute and calls at once of the key and of its group; every call in the ledger, on disk, and in the table llm_calls; "
            "the price known; the API checks its callers"
        )
        yield GatewaySide(OURS, version, server.port, {"authorization": f"Bearer {key}"}, "chat", "claude", pid=server.pid, about=about), server
    finally:
        try:
            server.stop()
        finally:
            # The next lane's server begins without these keys and calls.
            shutil.rmtree(data, ignore_errors=True)


def litellm_configuration(mock_url: str) -> dict:
    """The same models. Retries are off as they are for ours, where a model does not ask for them."""
    openai = {"api_base": f"{mock_url}/v1", "api_key": UPSTREAM_KEY, **_token_costs(PRICES["chat"])}
    anthropic = {"api_base": mock_url, "api_key": UPSTREAM_KEY, **_token_costs(PRICES["claude"])}

    def model(name: str, upstream: str, kind: str = "openai", **more: object) -> dict:
        return {"model_name": name, "litellm_params": {"model": f"{kind}/{upstream}", **(openai if kind == "openai" else anthropic), **more}}

    return {
        "model_list": [
            model("chat", "gpt-upstream"),
            model("claude", "claude-upstream", "anthropic"),
            model("spared", "spared-first"),
            model("spare", "spared-second"),
            model("patient", "patient-upstream", num_retries=2),
            model("hasty", "hasty-upstream", timeout=2, stream_timeout=2),
        ],
        "general_settings": {"master_key": LITELLM_KEY, "cancel_on_disconnect": True},
        "litellm_settings": {"request_timeout": 600, "cache": True, "cache_params": {"type": "local", "mode": "default_off"}},
        "router_settings": {"num_retries": 0, "fallbacks": [{"spared": ["spare"]}], "disable_cooldowns": True},
    }


def _token_costs(price: dict[str, float]) -> dict[str, float]:
    names = {"input": "input_cost_per_token", "cached_input": "cache_read_input_token_cost", "cache_write": "cache_creation_input_token_cost", "output": "output_cost_per_token"}
    return {names[part]: dollars / 1e6 for part, dollars in price.items()}


def settled_by_litellm(setting: Setting) -> Path:
    """Where LiteLLM's callback writes what calls cost."""
    return setting.out / "litellm-costs.jsonl"


@contextmanager
def litellm(setting: Setting, mock: Mock, name: str, router: dict, recorded: Path | None = None) -> Iterator[GatewaySide]:
    """LiteLLM's proxy under a configuration of its own, with further settings of its router."""
    python = litellm_python(setting.cache)
    folder = setting.out / name
    folder.mkdir(exist_ok=True)
    port, config, written = free_port(), folder / "config.yaml", litellm_configuration(mock.url)
    written["router_settings"] |= router
    own = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    if recorded:
        # It looks for callbacks beside its configuration.
        shutil.copy(HERE / "peers" / "litellm_costs.py", folder)
        written["litellm_settings"]["callbacks"] = "litellm_costs.recorder"
        own["BENCH_COSTS"] = str(recorded)
    config.write_text(json.dumps(written))  # JSON is YAML
    command = [str(python.with_name("litellm")), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    with process(LITELLM, command, f"http://127.0.0.1:{port}/health/liveliness", setting.out / f"{name}.log", own) as pid:
        about = (
            "`litellm` with one worker. Its master key is checked and the cost of a call computed; its virtual keys, budgets, limits of keys and the log of what was spent need a "
            "PostgreSQL through Prisma, whose engine is in no package registry, so they are OFF here, which is in its favour"
        )
        yield GatewaySide(LITELLM, _version(python, "litellm"), port, {"authorization": f"Bearer {LITELLM_KEY}"}, "chat", "claude", pid=pid, about=about)


TENSORZERO_CONFIGURATION = """
[gateway.observability]
enabled = false
[object_storage]
type = "disabled"
[models.chat]
routing = ["mock"]
[models.chat.providers.mock]
type = "openai"
model_name = "gpt-upstream"
api_base = "{url}/v1/"
api_key_location = "env::UPSTREAM_KEY"
cost = [
  {{ pointer = "/usage/prompt_tokens", cost_per_million = 2.0, required = true }},
  {{ pointer = "/usage/completion_tokens", cost_per_million = 10.0, required = true }},
  {{ pointer = "/usage/prompt_tokens_details/cached_tokens", cost_per_million = -1.8 }},
]
[models.claude]
routing = ["mock"]
[models.claude.providers.mock]
type = "anthropic"
model_name = "claude-upstream"
api_base = "{url}/v1/messages"
api_key_location = "env::UPSTREAM_KEY"
[models.spared]
routing = ["first", "second"]
[models.spared.providers.first]
type = "openai"
model_name = "spared-first"
api_base = "{url}/v1/"
api_key_location = "env::UPSTREAM_KEY"
[models.spared.providers.second]
type = "openai"
model_name = "spared-second"
api_base = "{url}/v1/"
api_key_location = "env::UPSTREAM_KEY"
[models.hasty]
routing = ["mock"]
timeouts = {{ non_streaming.total_ms = 2000, streaming.ttft_ms = 2000 }}
[models.hasty.providers.mock]
type = "openai"
model_name = "hasty-upstream"
api_base = "{url}/v1/"
api_key_location = "env::UPSTREAM_KEY"
"""


@contextmanager
def _tensorzero(setting: Setting, mock: Mock) -> Iterator[GatewaySide]:
    python = tensorzero_python(setting.cache)
    config, log = setting.out / "tensorzero.toml", setting.out / "tensorzero.log"
    config.write_text(TENSORZERO_CONFIGURATION.format(url=mock.url))
    command = [str(python), str(HERE / "peers" / "tensorzero_gateway.py"), str(config)]
    environment = {**os.environ, "UPSTREAM_KEY": UPSTREAM_KEY}
    with log.open("w") as out:
        started = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        port = _said_port(started, log)
        about = (
            "its gateway's own HTTP server, in Rust, as its Python package starts it; no call goes through Python. Keys, limits and its records need a database: they are OFF here, "
            "which is in its favour"
        )
        name = "tensorzero::model_name::"
        yield GatewaySide(TENSORZERO, _version(python, "tensorzero"), port, {}, f"{name}chat", f"{name}claude", "/openai", started.pid, about)
    finally:
        started.terminate()
        started.wait(timeout=30)


def _said_port(started: subprocess.Popen, log: Path) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and started.poll() is None:
        said = [line for line in log.read_text().splitlines() if line.startswith("listening on ")]
        if said:
            return int(said[0].split(":")[2].split("/")[0])
        time.sleep(0.1)
    raise Failed(f"it is not ready: {' '.join(log.read_text()[-600:].split())}")


def _version(python: Path, package: str) -> str:
    found = next((python.parent.parent / "lib").glob(f"python*/site-packages/{package}-*.dist-info"))
    return metadata.Distribution.at(found).version


def settle(side: GatewaySide, seconds: float = 30.0) -> None:
    """Returns when a gateway does nothing by itself any more, or says that it still does."""
    deadline = time.monotonic() + seconds
    while True:
        before = side.processor_seconds()
        time.sleep(0.5)
        if side.processor_seconds() - before <= 0.05:
            return
        if time.monotonic() > deadline:
            progress(f"{side.name} is still busy after {seconds:.0f} s in which nobody asked it anything")
            return
