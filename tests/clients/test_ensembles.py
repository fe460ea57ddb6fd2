"""Ensembles of models and expressions, with the unmodified tritonclient and plain requests against the real binary."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import lightgbm
import numpy
import pytest
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import xgboost
from mlflow import MlflowClient
from serving_models import boosted, booster, deploy, register
from tritonclient.utils import InferenceServerException

ROWS = numpy.random.default_rng(11).normal(size=(64, 3)).round(3)
NUMPY = {"FP64": numpy.float64, "BYTES": numpy.object_, "BOOL": numpy.bool_}


def graph(trees: str, forest: str) -> str:
    """Expressions, LightGBM and XGBoost behind them, their average, and what is decided by thresholds."""
    return f"""
inputs:
  a: float
  doubled: float
  c: float
  customer: text
steps:
  - name: decided
    compute:
      probability: (trees + forest) / 2
      decision: CASE WHEN probability >= 0.7 THEN 'hold' WHEN probability >= 0.4 THEN 'ask' ELSE 'pass' END
      is_hold: decision = 'hold'
  - name: trees
    model: {trees}
    inputs: {{b: half}}
  - name: forest
    model: models:/{forest}@champion
    inputs: {{b: half}}
  - name: ready
    compute:
      half: doubled / 2
outputs:
  probability: probability
  decision: decision
  is_hold: is_hold
  customer: customer
"""


class World:
    def __init__(self, url: str, binary: Path, folder: Path) -> None:
        self.url, self.binary = url, binary
        self.trees, (self.forest, _) = booster(), boosted()
        self.deployed = deploy(url, self.trees)
        self.registered = f"f_{uuid.uuid4().hex[:8]}"
        register(url, self.registered, self.forest)
        self.name = f"e_{uuid.uuid4().hex[:8]}"
        self.file = folder / "ensemble.yaml"
        self.file.write_text(graph(self.deployed, self.registered))
        self.said = self.shipway("deploy", self.name, "--ensemble", str(self.file))

    def shipway(self, *words: str, check: bool = True) -> str:
        command = [str(self.binary), "--server", self.url, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def probabilities(self, rows: numpy.ndarray) -> numpy.ndarray:
        """What the libraries themselves answer."""
        matrix = xgboost.DMatrix(rows.astype(numpy.float32), feature_names=["a", "b", "c"])
        return (self.trees.predict(rows) + self.forest.predict(matrix)) / 2

    def sent(self, rows: numpy.ndarray) -> list[dict[str, object]]:
        def shown(number: float) -> float | None:
            return None if numpy.isnan(number) else float(number)

        return [
            {"a": shown(a), "doubled": shown(b * 2), "c": shown(c), "customer": f"c{place}"}
            for place, (a, b, c) in enumerate(rows)
        ]


def decided(probability: float) -> str:
    return "hold" if probability >= 0.7 else "ask" if probability >= 0.4 else "pass"


@pytest.fixture(scope="module")
def world(server_url: str, binary: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(server_url, binary, tmp_path_factory.mktemp("ensemble"))


@pytest.fixture(params=["http", "grpc"])
def triton(request: pytest.FixtureRequest, server_url: str) -> Iterator[tuple[object, object]]:
    module = {"http": triton_http, "grpc": triton_grpc}[request.param]
    client = module.InferenceServerClient(server_url.removeprefix("http://"))
    yield module, client
    client.close()


def tensors(module, rows: numpy.ndarray, datatype: str = "FP64") -> list:
    columns = {
        "a": rows[:, 0],
        "doubled": rows[:, 1] * 2,
        "c": rows[:, 2],
    }
    made = []
    for name, column in columns.items():
        tensor = module.InferInput(name, [len(rows)], datatype)
        tensor.set_data_from_numpy(column.astype({"FP64": numpy.float64, "FP32": numpy.float32}[datatype]))
        made.append(tensor)
    customers = module.InferInput("customer", [len(rows)], "BYTES")
    customers.set_data_from_numpy(numpy.array([f"c{place}" for place in range(len(rows))], dtype=object))
    return [*made, customers]


def test_the_command_line_deploys_it_and_lists_its_models(world):
    assert f"{world.name} serves version 1 of its ensemble" in world.said
    listed = world.shipway("deploy")
    line = next(line for line in listed.splitlines() if world.name in line and "ensemble" not in line.split()[0])
    assert f"trees={world.deployed}:1" in line and f"forest={world.registered}:1" in line and "serving" in line
    rows = world.file.with_name("rows.jsonl")
    rows.write_text(json.dumps(world.sent(ROWS[:1])[0]))
    asked = world.shipway("predict", world.name, "--file", str(rows))
    assert decided(world.probabilities(ROWS[:1])[0]) in asked, asked


def test_triton_is_answered_as_the_libraries_and_the_thresholds_say(world, triton):
    module, client = triton
    rows = ROWS.copy()
    rows[3, 0] = numpy.nan
    answer = client.infer(world.name, tensors(module, rows), request_id="mine")
    expected = world.probabilities(rows)
    assert numpy.abs(answer.as_numpy("probability") - expected).max() < 1e-6
    assert [text.decode() for text in answer.as_numpy("decision")] == [decided(one) for one in expected]
    assert answer.as_numpy("is_hold").tolist() == [one >= 0.7 for one in expected]
    assert answer.as_numpy("customer")[5] == b"c5"
    wanted = [module.InferRequestedOutput("decision")]
    only = client.infer(world.name, tensors(module, rows[:2]), outputs=wanted)
    assert only.as_numpy("probability") is None and len(only.as_numpy("decision")) == 2


def test_triton_sees_what_it_takes_and_gives_and_what_it_did(world, triton):
    module, client = triton
    options = {"as_json": True} if module is triton_grpc else {}
    assert client.is_model_ready(world.name)
    metadata = client.get_model_metadata(world.name, **options)
    assert metadata["platform"] == "ensemble" and metadata["versions"] == ["1"]
    assert [(one["name"], one["datatype"]) for one in metadata["inputs"]] == [
        ("a", "FP64"), ("doubled", "FP64"), ("c", "FP64"), ("customer", "BYTES")
    ]  # fmt: skip
    assert [(one["name"], one["datatype"]) for one in metadata["outputs"]] == [
        ("probability", "FP64"), ("decision", "BYTES"), ("is_hold", "BOOL"), ("customer", "BYTES")
    ]  # fmt: skip
    client.infer(world.name, tensors(module, ROWS[:3]))
    statistics = client.get_inference_statistics(world.name, **options)["model_stats"][0]
    assert int(statistics["inference_count"]) >= 3
    assert int(statistics["inference_stats"]["success"]["count"]) >= 1
    index = client.get_model_repository_index(**options)
    models = index["models"] if module is triton_grpc else index
    assert any(model["name"] == world.name and model["state"] == "READY" for model in models)
    assert client.get_model_config(world.name, **options)


def test_scoring_answers_a_record_for_each_row(world):
    rows = ROWS[:5].copy()
    rows[2, 1] = numpy.nan
    path = f"{world.url}/endpoints/{world.name}/invocations"
    expected = world.probabilities(rows)
    sent = world.sent(rows)
    split = {"columns": list(sent[0]), "data": [list(row.values()) for row in sent]}
    for body in ({"dataframe_records": sent}, {"dataframe_split": split}, {"instances": split["data"]}):
        answer = requests.post(path, json=body, timeout=10)
        assert answer.ok, answer.text
        predictions = answer.json()["predictions"]
        assert numpy.abs([row["probability"] for row in predictions] - expected).max() < 1e-6
        assert [row["decision"] for row in predictions] == [decided(one) for one in expected]
    lines = ["a,doubled,c,customer", *(",".join("" if cell is None else str(cell) for cell in row.values()) for row in sent)]
    answer = requests.post(path, data="\n".join(lines), headers={"content-type": "text/csv"}, timeout=10)
    assert [row["customer"] for row in answer.json()["predictions"]] == [f"c{place}" for place in range(5)]


def test_what_was_answered_is_logged_with_the_versions_of_its_models(world):
    answer = requests.post(f"{world.url}/api/v1/predict/{world.name}", json={"rows": world.sent(ROWS[:2])}, timeout=10).json()
    assert [step["version"] for step in answer["steps"]] == [1, 1]
    query = (
        "SELECT customer, output__decision, prediction, steps FROM "
        f"predictions__{world.name} WHERE request_id = '{answer['request_id']}' ORDER BY row"
    )
    # The log is written a second after the answer, or later on a busy machine.
    for _ in range(100):
        rows = requests.post(f"{world.url}/api/v1/sql", json={"query": query}, timeout=30).json()["rows"]
        if rows:
            break
        time.sleep(0.3)
    logged = [list(row.values()) if isinstance(row, dict) else row for row in rows]
    assert [row[:2] for row in logged] == [[row["customer"], row["decision"]] for row in answer["predictions"]]
    assert json.loads(logged[0][3]) == answer["steps"]


def test_what_does_not_fit_is_refused_with_its_name(world, triton):
    module, client = triton
    with pytest.raises(InferenceServerException, match="column `customer`: missing"):
        client.infer(world.name, tensors(module, ROWS[:1])[:3])
    with pytest.raises(InferenceServerException, match="there is no output `decisions`"):
        client.infer(world.name, tensors(module, ROWS[:1]), outputs=[module.InferRequestedOutput("decisions")])
    with pytest.raises(InferenceServerException, match="1 to 1024 rows, got 100000"):
        client.infer(world.name, tensors(module, numpy.zeros((100_000, 3))))
    with pytest.raises(InferenceServerException, match="serves version 1, not 9"):
        client.infer(world.name, tensors(module, ROWS[:1]), model_version="9")


def test_a_graph_that_cannot_run_is_refused_and_the_one_before_stays(world):
    before = world.file.read_text()
    for changed, words in (
        (before.replace("model: models:/", "model: models:/no_"), "step `forest`"),
        (before.replace("half: doubled / 2", "half: doubled / probability"), "steps wait for each other"),
        (before.replace("half: doubled / 2", "half: customer"), "input `b` takes a number; column `half` is text"),
        (before.replace("(trees + forest) / 2", "trees"), "step `forest`: nothing uses what it makes"),
        (before.replace("decision: decision\n", "decision: decisoin\n", 1), "did you mean `decision`?"),
    ):
        file = world.file.with_name("changed.yaml")
        file.write_text(changed)
        said = world.shipway("deploy", world.name, "--ensemble", str(file), check=False)
        assert words in said, said
    answer = requests.get(f"{world.url}/api/v1/deployments/{world.name}", timeout=10).json()
    assert (answer["version"], answer["ready"], answer["trouble"]) == (1, True, None)


def test_a_step_follows_its_alias_and_one_that_does_not_fit_stays_out(server_url, binary, tmp_path):
    own = World(server_url, binary, tmp_path)
    rows = own.sent(ROWS[:4])

    def asked() -> dict:
        answer = requests.post(f"{server_url}/api/v1/predict/{own.name}", json={"rows": rows}, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    data = lightgbm.Dataset(ROWS, label=(ROWS[:, 0] > 0).astype(int), feature_name=["a", "other", "c"])
    other = lightgbm.train({"objective": "binary", "verbose": -1, "num_leaves": 3}, data, num_boost_round=2)
    for model, step in ((own.deployed, "trees"), (own.registered, "forest")):
        before = asked()
        register(server_url, model, other)
        status: dict = {}
        for _ in range(400):
            status = requests.get(f"{server_url}/api/v1/deployments/{own.name}", timeout=10).json()
            if status["trouble"]:
                break
        assert status["trouble"]["code"] == "serving.unfit_for_ensemble", status
        assert f"step `{step}`" in status["trouble"]["detail"] and "`other`" in status["trouble"]["detail"]
        assert asked()["predictions"] == before["predictions"], "the one before stays"
        MlflowClient(server_url, server_url).set_registered_model_alias(model, "champion", "1")
        for _ in range(400):
            status = requests.get(f"{server_url}/api/v1/deployments/{own.name}", timeout=10).json()
            if not status["trouble"]:
                break
        assert status["trouble"] is None
    register(server_url, own.deployed, booster())
    for _ in range(400):
        if asked()["steps"][0]["version"] == 3:
            break
    assert [step["version"] for step in asked()["steps"]] == [3, 1]
    taken = own.shipway("deploy", own.deployed, "--remove", check=False)
    assert f"is asked by ensemble `{own.name}`" in taken, taken
    own.shipway("deploy", own.name, "--remove")
    own.shipway("deploy", own.deployed, "--remove")
