"""Models that are code, logged with the unmodified mlflow client, each served by a process of its own: what they answer, what they
cannot do, and what becomes of the server and of other models when they hang, crash or lie."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy
import pandas
import pyarrow.ipc
import pytest
import requests
import tritonclient.http
from mlflow import MlflowClient
from mlflow.models import infer_signature
from mlflow.types import ColSpec, Schema
from real_binary import Server
from serving_models import booster, deploy
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

MODELS = Path(__file__).parent / "python_models"
SECRET = "a-secret-of-the-server"
TIMEOUT_SECONDS = 3


@pytest.fixture(scope="module")
def python_server(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("python_server")
    settings = {
        "INTERPRETER": sys.executable,
        "ENVIRONMENT": "given",
        "CALL_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
        "MEMORY_MIB": "2048",
    }
    environment = {f"SHIPWAY_RUNTIME__PYTHON__{name}": value for name, value in settings.items()}
    started = Server(binary, folder / "data", folder / "server.log", {**environment, "SOMETHING_SECRET": SECRET})
    yield started
    started.stop()


@pytest.fixture(scope="module")
def url(python_server: Server) -> str:
    return python_server.url


def logged(url: str, log: Callable[..., object], **settings: object) -> str:
    """Logs and registers a model under a name of its own, which is answered."""
    name = f"m_{uuid.uuid4().hex[:10]}"
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    mlflow.set_experiment("python models")
    with mlflow.start_run():
        info = log(name="model", registered_model_name=name, **settings)
    MlflowClient(url, url).set_registered_model_alias(name, "champion", str(info.registered_model_version))
    return name


def put(url: str, name: str, **settings: object) -> requests.Response:
    return requests.put(f"{url}/api/v1/deployments/{name}", json={"model": name, "alias": "champion", **settings}, timeout=120)


def served(url: str, name: str, **settings: object) -> str:
    answer = put(url, name, **settings)
    assert answer.ok, answer.text
    return name


def odd(url: str, **settings: object) -> str:
    frame = pandas.DataFrame({"word": ["hello"]})
    signature = infer_signature(frame, pandas.Series(["hello"], name="said"))
    return served(url, logged(url, mlflow.pyfunc.log_model, python_model=str(MODELS / "odd.py"), signature=signature), **settings)


@pytest.fixture(scope="module")
def odd_model(url: str) -> str:
    return odd(url)


def ask(url: str, name: str, *words: str) -> requests.Response:
    body = {"dataframe_split": {"columns": ["word"], "data": [[word] for word in words]}}
    return requests.post(f"{url}/endpoints/{name}/invocations", json=body, timeout=60)


def said(url: str, name: str, word: str) -> str:
    answer = ask(url, name, word)
    assert answer.ok, answer.text
    (only,) = next(iter(answer.json()["predictions"].values()))
    return only


def until(what: Callable[[], object], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def query(url: str, sql: str) -> list[dict]:
    stream = {"Accept": "application/vnd.apache.arrow.stream"}
    answer = requests.post(f"{url}/api/v1/sql", json={"query": sql}, headers=stream, timeout=60)
    assert answer.ok, answer.text
    return pyarrow.ipc.open_stream(answer.content).read_all().to_pylist()


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def status(url: str, name: str) -> dict:
    return requests.get(f"{url}/api/v1/deployments/{name}", timeout=10).json()


@pytest.fixture(scope="module")
def pipeline() -> tuple[object, pandas.DataFrame]:
    random = numpy.random.default_rng(5)
    frame = pandas.DataFrame({"size": random.normal(size=200), "kind": random.choice(["a", "b", "c"], 200)})
    labels = (frame["size"] + (frame["kind"] == "a") > 0.5).astype("int64")
    columns = make_column_transformer((StandardScaler(), ["size"]), (OneHotEncoder(handle_unknown="ignore"), ["kind"]))
    return make_pipeline(columns, LogisticRegression()).fit(frame, labels), frame


def test_a_pickle_of_scikit_learn_answers_as_the_library_on_every_way(url, pipeline):
    model, frame = pipeline
    signature = infer_signature(frame, model.predict(frame))
    name = logged(
        url, mlflow.sklearn.log_model, sk_model=model, signature=signature, input_example=frame[:2], serialization_format="cloudpickle"
    )
    served(url, name)
    rows, expected = frame[:20], model.predict(frame[:20]).tolist()

    native = requests.post(f"{url}/api/v1/predict/{name}", json={"rows": rows.to_dict(orient="records")}, timeout=30)
    assert native.json()["predictions"] == expected, native.text
    scored = requests.post(f"{url}/endpoints/{name}/invocations", json={"dataframe_split": rows.to_dict(orient="split")}, timeout=30)
    assert scored.json()["predictions"] == expected, scored.text
    csv = requests.post(
        f"{url}/endpoints/{name}/invocations", data=rows.to_csv(index=False), headers={"Content-Type": "text/csv"}, timeout=30
    )
    assert csv.json()["predictions"] == expected, csv.text
    client = tritonclient.http.InferenceServerClient(url.removeprefix("http://"))
    inputs = []
    for column, datatype in (("size", "FP64"), ("kind", "BYTES")):
        tensor = tritonclient.http.InferInput(column, [20], datatype)
        values = rows[column].to_numpy()
        tensor.set_data_from_numpy(values if datatype == "FP64" else values.astype(object))
        inputs.append(tensor)
    assert client.infer(name, inputs).as_numpy("predict").tolist() == expected
    assert client.get_model_metadata(name)["platform"] == "python"

    # Four requests; what was logged is what was asked and answered.
    logged_rows = f"SELECT size, kind, prediction[1] AS answer FROM predictions__{name}"
    until(lambda: len(query(url, logged_rows)) == 4 * 20)
    log = {(row["size"], row["kind"], row["answer"]) for row in query(url, logged_rows)}
    assert log == set(zip(rows["size"], rows["kind"], map(float, expected), strict=True))


def test_probabilities_of_a_function_are_a_row_each(url, pipeline):
    model, frame = pipeline
    name = logged(
        url,
        mlflow.sklearn.log_model,
        sk_model=model,
        signature=infer_signature(frame, model.predict_proba(frame)),
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
    )
    served(url, name)
    answer = requests.post(f"{url}/api/v1/predict/{name}", json={"rows": frame[:5].to_dict(orient="records")}, timeout=30)
    assert numpy.abs(numpy.array(answer.json()["predictions"]) - model.predict_proba(frame[:5])).max() < 1e-12


def test_a_model_of_arrays_takes_tensors(url):
    from sklearn.ensemble import RandomForestRegressor

    rows = numpy.random.default_rng(1).normal(size=(60, 3))
    model = RandomForestRegressor(n_estimators=5, random_state=1).fit(rows, rows.sum(axis=1))
    signature = infer_signature(rows, model.predict(rows))
    name = logged(url, mlflow.sklearn.log_model, sk_model=model, signature=signature, serialization_format="cloudpickle")
    served(url, name)
    scored = requests.post(f"{url}/endpoints/{name}/invocations", json={"inputs": rows[:4].tolist()}, timeout=30)
    assert scored.json()["predictions"] == model.predict(rows[:4]).tolist(), scored.text
    client = tritonclient.http.InferenceServerClient(url.removeprefix("http://"))
    tensor = tritonclient.http.InferInput("input", [4, 3], "FP64").set_data_from_numpy(rows[:4])
    assert client.infer(name, [tensor]).as_numpy("predict").tolist() == model.predict(rows[:4]).tolist()


def test_columns_come_with_the_types_of_the_signature(url):
    words = ["boolean", "integer", "long", "float", "double", "string", "datetime"]
    names = ["flag", "small", "large", "single", "double", "word", "time"]
    signature = mlflow.models.ModelSignature(
        inputs=Schema([ColSpec(word, name) for word, name in zip(words, names, strict=True)]), outputs=Schema([ColSpec("double")])
    )
    name = served(url, logged(url, mlflow.pyfunc.log_model, python_model=str(MODELS / "typed.py"), signature=signature))
    good = {
        "flag": True, "small": 7, "large": 2**40 + 1, "single": 0.5, "double": 0.0, "word": "007", "time": "2026-11-30T01:02:03",
    }  # fmt: skip
    rows = [good, {**good, "word": None, "time": None, "double": None}, {**good, "flag": False}, {**good, "time": "2026-11-30T02:02:03+01:00"}]
    answer = requests.post(f"{url}/api/v1/predict/{name}", json={"rows": rows}, timeout=30)
    assert answer.ok and answer.json()["predictions"] == [1, 101, 0, 1], answer.text
    csv = "flag,small,large,single,double,word,time\nTrue,7,1099511627777,0.5,0,007,2026-11-30T01:02:03\n"
    answer = requests.post(f"{url}/endpoints/{name}/invocations", data=csv, headers={"Content-Type": "text/csv"}, timeout=30)
    assert answer.ok and answer.json()["predictions"] == [1], answer.text
    for wrong, words in (
        ({"small": 2**40}, "column `small` must be a whole number of 32 bits, got int"),
        ({"large": None}, "column `large` must be a whole number, got null"),
        ({"word": 7}, "column `word` must be text, got int"),
        ({"time": "yesterday"}, "yesterday"),
    ):
        answer = requests.post(f"{url}/api/v1/predict/{name}", json={"rows": [{**good, **wrong}]}, timeout=30)
        assert answer.status_code == 400 and words in answer.json()["detail"], answer.text


def test_an_exception_is_the_answer_to_its_request_and_the_next_one_is_answered(url, odd_model, python_server):
    pid = said(url, odd_model, "pid")
    for raised, code, wire, words in (
        ("ValueError", 400, "BAD_REQUEST", "the model refused the input: ValueError: as it was told"),
        ("RuntimeError", 500, "INTERNAL_ERROR", "the model failed: RuntimeError: as it was told"),
        ("SystemExit", 500, "INTERNAL_ERROR", "the model failed: SystemExit: as it was told"),
    ):
        answer = ask(url, odd_model, f"raise {raised}")
        assert answer.status_code == code, answer.text
        assert answer.json()["error_code"] == wire and words in answer.json()["message"], answer.text
        assert said(url, odd_model, "hello") == "hello"
    assert said(url, odd_model, "pid") == pid, "the same process"
    assert "Traceback (most recent call last)" in python_server.log()
    body = {"inputs": [{"name": "word", "shape": [1], "datatype": "BYTES", "data": ["raise ValueError"]}]}
    answer = requests.post(f"{url}/v2/models/{odd_model}/infer", json=body, timeout=30)
    assert answer.status_code == 400 and "as it was told" in answer.json()["error"], answer.text


def test_what_a_model_prints_is_in_the_log_and_in_no_answer(url, odd_model, python_server):
    assert said(url, odd_model, "print something\u001b[2J odd") == "print"
    until(lambda: "past the buffers of Python" in python_server.log())
    assert "something [2J odd" in python_server.log()


def test_a_model_that_hangs_is_killed_and_started_anew_and_others_go_on(url, odd_model):
    trees = deploy(url, booster())
    pid = int(said(url, odd_model, "pid"))
    answers: list[requests.Response] = []
    hanging = threading.Thread(target=lambda: answers.append(ask(url, odd_model, "sleep 600")))
    hanging.start()
    row = {"rows": [{"a": 1, "b": 2, "c": 3}]}
    while hanging.is_alive():
        assert requests.post(f"{url}/api/v1/predict/{trees}", json=row, timeout=5).ok
    hanging.join()
    (answer,) = answers
    assert answer.status_code == 503 and answer.headers["Retry-After"], answer.text
    assert f"did not answer within {TIMEOUT_SECONDS} s" in answer.json()["message"]
    until(lambda: is_ready(url, odd_model))
    assert not runs(pid)
    assert said(url, odd_model, "hello") == "hello"


def is_ready(url: str, name: str) -> bool:
    return requests.get(f"{url}/v2/models/{name}/ready", timeout=10).status_code == 200


@pytest.mark.parametrize("how", ["exit 3", "exit 0", "crash", "closes", "nonsense"])
def test_a_model_that_breaks_down_is_reported_and_started_anew(url, odd_model, how):
    until(lambda: is_ready(url, odd_model))
    pid = int(said(url, odd_model, "pid"))
    answer = ask(url, odd_model, how)
    assert answer.status_code == 503 and answer.headers["Retry-After"], answer.text
    until(lambda: (status(url, odd_model)["trouble"] or {}).get("code") == "runtime.python_down" or is_ready(url, odd_model))
    until(lambda: is_ready(url, odd_model))
    assert not runs(pid)
    assert status(url, odd_model)["trouble"] is None
    assert said(url, odd_model, "hello") == "hello"


def test_a_process_that_is_killed_between_two_requests_is_started_anew(url, odd_model):
    until(lambda: is_ready(url, odd_model))
    pid = int(said(url, odd_model, "pid"))
    os.kill(pid, 9)
    until(lambda: not is_ready(url, odd_model))
    assert "signal: 9" in status(url, odd_model)["trouble"]["detail"]
    until(lambda: is_ready(url, odd_model))
    assert int(said(url, odd_model, "pid")) != pid


def test_a_model_sees_nothing_of_the_server_and_reaches_nobody(url, odd_model, python_server, tmp_path):
    until(lambda: is_ready(url, odd_model))
    environment = json.loads(said(url, odd_model, "environment"))
    assert SECRET not in environment.values()
    assert not [name for name in environment if name.startswith("SHIPWAY") or name == "SOMETHING_SECRET"]
    (tmp_path / "theirs").write_text("theirs")
    data = python_server.data
    database = next(path for path in data.iterdir() if path.is_file())
    denied, not_permitted = "PermissionError: [Errno 13]", "PermissionError: [Errno 1]"
    for word, words in (
        ("parent", denied),
        (f"read {tmp_path}/theirs", denied),
        (f"read {database}", denied),
        (f"list {data}", denied),
        (f"list {Path.home()}", denied),
        (f"write {tmp_path}/escaped", denied),
        (f"write {data}/escaped", denied),
        ("spoil", denied),
        (f"connect {python_server.port}", not_permitted),
        ("datagram", not_permitted),
        ("run id", not_permitted),
        ("fork", not_permitted),
        ("kill", not_permitted),
        (f"chmod {data}", not_permitted),
        ("take 4096", "MemoryError"),
        ("write here.txt", "written"),
    ):
        assert said(url, odd_model, word).startswith(words), word
    assert not (tmp_path / "escaped").exists() and not (data / "escaped").exists()


def folders(server: Server) -> set[Path]:
    return set((server.data / "runtime" / "python").glob("models/*"))


def test_what_is_unloaded_leaves_no_process_and_no_files(url, python_server):
    before = folders(python_server)
    name = odd(url)
    pid = int(said(url, name, "pid"))
    (folder,) = folders(python_server) - before
    assert folder.stat().st_mode & 0o777 == 0o700
    assert requests.post(f"{url}/v2/repository/models/{name}/unload", json={}, timeout=30).ok
    until(lambda: not runs(pid) and not folder.exists())
    assert requests.post(f"{url}/v2/repository/models/{name}/load", json={}, timeout=60).ok
    again = int(said(url, name, "pid"))
    assert again != pid
    assert requests.delete(f"{url}/api/v1/deployments/{name}", timeout=30).ok
    until(lambda: not runs(again) and folders(python_server) <= before)


def test_the_queue_of_a_model_is_bounded(url):
    name = odd(url, queue={"max_requests": 1, "timeout_ms": 10_000})
    codes: list[int] = []
    callers = [threading.Thread(target=lambda: codes.append(ask(url, name, "sleep 1").status_code)) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert codes.count(200) >= 1 and codes.count(429) >= 3, codes


def test_golden_inputs_are_answered_before_a_version_takes_over(url, tmp_path):
    def with_golden(predictions: list) -> str:
        golden = {"dataframe_split": {"columns": ["word"], "data": [["hello"]]}, "predictions": predictions}
        folder = tmp_path / uuid.uuid4().hex
        frame = pandas.DataFrame({"word": ["hello"]})
        signature = infer_signature(frame, numpy.array(["hello"]))
        mlflow.pyfunc.save_model(folder, python_model=str(MODELS / "odd.py"), signature=signature)
        (folder / "shipway_golden.json").write_text(json.dumps(golden))
        name = f"m_{uuid.uuid4().hex[:10]}"
        client = MlflowClient(url, url)
        mlflow.set_tracking_uri(url)
        mlflow.set_experiment("python models")
        with mlflow.start_run() as run:
            mlflow.log_artifacts(str(folder), "golden")
        client.create_registered_model(name)
        version = client.create_model_version(name, f"runs:/{run.info.run_id}/golden", run.info.run_id)
        client.set_registered_model_alias(name, "champion", version.version)
        return name

    assert put(url, with_golden(["hello"])).ok
    refused = put(url, with_golden(["another"]))
    assert refused.status_code == 409 and refused.json()["code"] == "serving.golden_mismatch", refused.text


def test_what_does_not_load_is_told_and_leaves_nothing(url, python_server, tmp_path):
    before = folders(python_server)
    broken = tmp_path / "broken.py"
    broken.write_text("import mlflow\nclass M(mlflow.pyfunc.PythonModel):\n    def predict(self, context, model_input): return model_input\n"
                      "import os\nif 'scratch' in os.getcwd(): raise RuntimeError('not here')\nmlflow.models.set_model(M())\n")  # fmt: skip
    signature = infer_signature(pandas.DataFrame({"a": [1.0]}), numpy.array([1.0]))
    refused = put(url, logged(url, mlflow.pyfunc.log_model, python_model=str(broken), signature=signature))
    assert refused.status_code == 400 and refused.json()["code"] == "runtime.python_load", refused.text
    assert "not here" in refused.json()["detail"]
    without = put(url, logged(url, mlflow.pyfunc.log_model, python_model=str(MODELS / "odd.py")))
    assert without.status_code == 400 and without.json()["code"] == "runtime.python_signature", without.text
    until(lambda: folders(python_server) <= before)


def test_models_that_are_code_are_refused_until_an_interpreter_is_named(server_url, pipeline):
    model, frame = pipeline
    signature = infer_signature(frame, model.predict(frame))
    pickled = logged(server_url, mlflow.sklearn.log_model, sk_model=model, signature=signature, serialization_format="cloudpickle")
    for name in (pickled, logged(server_url, mlflow.pyfunc.log_model, python_model=str(MODELS / "odd.py"))):
        refused = put(server_url, name)
        assert refused.status_code == 400 and refused.json()["code"] == "runtime.no_flavor", refused.text
        assert "runtime.python.interpreter" in refused.json()["hint"]


def test_a_server_that_is_killed_takes_its_models_with_it(binary, tmp_path):
    environment = {"SHIPWAY_RUNTIME__PYTHON__INTERPRETER": sys.executable, "SHIPWAY_RUNTIME__PYTHON__ENVIRONMENT": "given"}
    server = Server(binary, tmp_path / "data", tmp_path / "log", environment)
    name = odd(server.url)
    pid = int(said(server.url, name, "pid"))
    sleeping = threading.Thread(target=lambda: pytest.raises(requests.ConnectionError, ask, server.url, name, "sleep 600"))
    sleeping.start()
    server.kill()
    sleeping.join()
    until(lambda: not runs(pid))
    assert folders(server), "what it could not remove"
    again = Server(binary, tmp_path / "data", tmp_path / "log", environment)
    assert len(folders(again)) == 1, "removed at the start, and made for the model that is served again"
    assert said(again.url, name, "hello") == "hello"
    again.stop()


def test_an_environment_of_other_versions_is_told_or_refused(url, python_server, binary, tmp_path):
    def old(url: str) -> str:
        signature = infer_signature(pandas.DataFrame({"word": ["hello"]}), pandas.Series(["hello"]))
        requirements = ["mlflow", "numpy==1.0"]
        return logged(
            url, mlflow.pyfunc.log_model, python_model=str(MODELS / "odd.py"), signature=signature, pip_requirements=requirements
        )

    difference = f"numpy 1.0 (there is {numpy.__version__})"
    served(url, old(url))
    assert difference in python_server.log()
    environment = {"SHIPWAY_RUNTIME__PYTHON__INTERPRETER": sys.executable, "SHIPWAY_RUNTIME__PYTHON__ENVIRONMENT": "matching"}
    strict = Server(binary, tmp_path / "data", tmp_path / "log", environment)
    refused = put(strict.url, old(strict.url))
    assert refused.status_code == 503 and refused.json()["code"] == "runtime.python_environment", refused.text
    assert difference in refused.json()["detail"]
    strict.stop()


def test_a_process_that_cannot_be_confined_loads_nothing(binary, tmp_path):
    """What the interpreter must be able to read has the server's data in it."""
    (tmp_path / "env" / "bin").mkdir(parents=True)
    interpreter = tmp_path / "env" / "bin" / "python"
    interpreter.symlink_to(Path(sys.executable).resolve())
    environment = {"SHIPWAY_RUNTIME__PYTHON__INTERPRETER": str(interpreter), "SHIPWAY_RUNTIME__PYTHON__ENVIRONMENT": "given"}
    server = Server(binary, tmp_path / "env" / "data", tmp_path / "log", environment)
    signature = infer_signature(pandas.DataFrame({"word": ["hello"]}), pandas.Series(["hello"]))
    refused = put(server.url, logged(server.url, mlflow.pyfunc.log_model, python_model=str(MODELS / "odd.py"), signature=signature))
    assert refused.status_code == 503 and refused.json()["code"] == "runtime.python_sandbox", refused.text
    assert str(tmp_path / "env" / "data") in refused.json()["detail"]
    server.stop()
