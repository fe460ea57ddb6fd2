"""The sides of the lane `serving`: servers of one and the same booster, each on one core, and how each is asked for one row."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import mlflow
import numpy
from mlflow import MlflowClient

from processes import free_port, process
from server import Failed, Server
from setting import HERE, Setting
from tools import frameworks_python, serving_python

FEATURES = 30
TREES, LEAVES = 500, 63
OURS = "Shipway"
LOGGING = "Shipway, every row logged"
#: The core of the servers; the load generator has the others.
CORE = {0}


@dataclass(frozen=True)
class ServingSide:
    """A server that is running, and its requests."""

    name: str
    url: str
    path: str
    bodies: list[str]
    #: Where the predictions are in an answer.
    found: tuple[str | int, ...]
    pid: int
    #: Where it speaks gRPC, if it does.
    grpc: str = ""

    def check(self, expected: numpy.ndarray) -> None:
        """Asks each row once, and compares with what the library says."""
        for body, wanted in zip(self.bodies, expected, strict=True):
            request = urllib.request.Request(self.url + self.path, body.encode(), {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                got = json.loads(answer.read())
            for key in self.found:
                got = got[key]
            if abs(float(numpy.ravel(got)[0]) - wanted) > 1e-9:
                raise Failed(f"{self.name} answers {got}, LightGBM {wanted}")


def trained(folder: Path) -> tuple[lightgbm.Booster, Path, numpy.ndarray]:
    """The booster, its file, and rows to ask for."""
    folder.mkdir(parents=True, exist_ok=True)
    random = numpy.random.default_rng(11)
    rows = random.normal(size=(40_000, FEATURES))
    score = rows[:, 0] * rows[:, 1] + numpy.sin(rows[:, 2]) + rows[:, 3:].sum(axis=1) / 10
    data = lightgbm.Dataset(rows, label=(score + random.normal(size=len(rows)) > 0).astype(int))
    options = {"objective": "binary", "num_leaves": LEAVES, "verbose": -1, "num_threads": os.cpu_count(), "seed": 1}
    booster = lightgbm.train(options, data, num_boost_round=TREES)
    path = folder / "model.txt"
    booster.save_model(path)
    return booster, path, random.normal(size=(256, FEATURES)).round(4)


@contextmanager
def alone(side: ServingSide, running: list[ServingSide]) -> Iterator[None]:
    """Every other server stands still meanwhile: they share one core, and some of them are busy although nobody asks them."""
    others = {other.pid for other in running} - {side.pid}
    try:
        for pid in others:
            _signal(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in others:
            _signal(pid, signal.SIGCONT)


def _signal(pid: int, number: signal.Signals) -> None:
    """To the server and all that it started. Ours starts nothing, and is in the group of the benchmark."""
    if os.getpgid(pid) == pid:
        os.killpg(pid, number)
    else:
        os.kill(pid, number)


@contextmanager
def sides(setting: Setting) -> Iterator[tuple[list[ServingSide], lightgbm.Booster, numpy.ndarray]]:
    """All servers, running and checked."""
    booster, path, rows = trained(setting.out / "serving")
    with ExitStack() as running:
        before = os.sched_getaffinity(0)
        # What is started from here on inherits the one core.
        os.sched_setaffinity(0, CORE)
        try:
            made = [*_ours(setting, booster, rows, running), *_peers(setting, path, rows, running)]
        finally:
            os.sched_setaffinity(0, before)
        expected = booster.predict(rows)
        for side in made:
            side.check(expected)
        yield made, booster, rows


def _ours(setting: Setting, booster: lightgbm.Booster, rows: numpy.ndarray, running: ExitStack) -> list[ServingSide]:
    """Without the log of predictions, as the others have none, and with it."""
    server = running.enter_context(setting.serving("serving", []))
    bodies = [
        json.dumps({"inputs": [{"name": "rows", "shape": [1, FEATURES], "datatype": "FP64", "data": row.tolist()}]}) for row in rows
    ]
    made = []
    for side, name, share in ((OURS, "trees", "0"), (LOGGING, "logged_trees", "1")):
        log = lambda name=name: mlflow.lightgbm.log_model(booster, name="model", registered_model_name=name, pip_requirements=["lightgbm"])
        deploy(server, name, log, "--log-share", share)
        grpc = f"127.0.0.1:{server.port}" if side == OURS else ""
        made.append(ServingSide(side, server.url, f"/v2/models/{name}/infer", bodies, ("outputs", 0, "data"), server.pid, grpc))
    return made


def deploy(server: Server, name: str, log, *options: str) -> None:
    """Logs a model, gives its version the alias champion, and deploys it."""
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    mlflow.set_experiment("serving")
    with mlflow.start_run():
        version = log().registered_model_version
    MlflowClient(server.url, server.url).set_registered_model_alias(name, "champion", str(version))
    server.cli("deploy", name, "--model", name, *options)


def _peers(setting: Setting, model: Path, rows: numpy.ndarray, running: ExitStack) -> list[ServingSide]:
    python, frameworks = serving_python(setting.cache), frameworks_python(setting.cache)
    folder = setting.out / "serving"
    split = {"columns": [f"Column_{place}" for place in range(FEATURES)]}
    scored = [json.dumps({"dataframe_split": {**split, "data": [row.tolist()]}}) for row in rows]
    matrices = [
        json.dumps({"inputs": [{"name": "rows", "shape": [1, FEATURES], "datatype": "FP64", "data": row.tolist()}]}) for row in rows
    ]
    plain = [json.dumps({"rows": [row.tolist()]}) for row in rows]
    logged = folder / "logged"
    mlflow.lightgbm.save_model(lightgbm.Booster(model_file=model), str(logged), pip_requirements=["lightgbm"])
    ports = {name: free_port() for name in ("fastapi", "mlserver", "grpc", "metrics", "mlflow", "ray", "bentoml")}
    config = folder / "mlserver"
    config.mkdir(exist_ok=True)
    (config / "settings.json").write_text(
        json.dumps({
            "host": "127.0.0.1", "http_port": ports["mlserver"], "grpc_port": ports["grpc"], "metrics_port": ports["metrics"],
            "parallel_workers": 0, "debug": False, "logging_settings": None,
        })
    )
    implementation = "mlserver_lightgbm.LightGBMModel"
    (config / "model-settings.json").write_text(
        json.dumps({"name": "trees", "implementation": implementation, "parameters": {"uri": str(_as_bst(model, config)), "version": "1"}})
    )
    commands = {
        "FastAPI": [str(python), str(HERE / "peers" / "fastapi_trees.py"), str(model), str(ports["fastapi"])],
        "MLServer": [str(python), "-m", "mlserver.cli.main", "start", str(config)],
        "mlflow models serve": [
            *(sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(logged), "--env-manager", "local"),
            *("--host", "127.0.0.1", "--port", str(ports["mlflow"]), "--workers", "1"),
        ],
        "Ray Serve": [str(frameworks), str(HERE / "peers" / "ray_trees.py"), str(model), str(ports["ray"])],
        "BentoML": [
            *(str(frameworks), "-m", "bentoml", "serve", "bentoml_trees:Trees", "--working-dir", str(HERE / "peers")),
            *("--host", "127.0.0.1", "--port", str(ports["bentoml"])),
        ],
    }
    asked = {
        "FastAPI": (ports["fastapi"], "/predict", plain, ("predictions",), "/ready"),
        "MLServer": (ports["mlserver"], "/v2/models/trees/infer", matrices, ("outputs", 0, "data"), "/v2/models/trees/ready"),
        "mlflow models serve": (ports["mlflow"], "/invocations", scored, ("predictions",), "/ping"),
        "Ray Serve": (ports["ray"], "/predict", plain, ("predictions",), "/predict"),
        "BentoML": (ports["bentoml"], "/predict", plain, ("predictions",), "/readyz"),
    }
    made = []
    for name, command in commands.items():
        port, path, bodies, found, ready = asked[name]
        ready_at, log = f"http://127.0.0.1:{port}{ready}", folder / f"{name}.log"
        pid = running.enter_context(process(name, command, ready_at, log, {"BENTOML_TREES": str(model)}))
        grpc = f"127.0.0.1:{ports['grpc']}" if name == "MLServer" else ""
        made.append(ServingSide(name, f"http://127.0.0.1:{port}", path, bodies, found, pid, grpc))
    return made


def _as_bst(model: Path, folder: Path) -> Path:
    """The model under the name that MLServer looks for."""
    path = folder / "model.bst"
    path.write_bytes(model.read_bytes())
    return path
