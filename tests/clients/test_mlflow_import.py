"""`shipway import mlflow` from a real stock MLflow server and from a real folder `mlruns`: what the real client reads on both sides is the same."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from real_binary import Server

READY_WITHIN_SECONDS = 180.0
LARGE = 24 << 20
FILL = Path(__file__).parent / "mlflow_fill.py"


@dataclass
class Stock:
    """A stock `mlflow server` on SQLite."""

    url: str
    folder: Path
    process: subprocess.Popen


def client_of(server):
    """A client of this server alone: without its address for the registry, whatever another test has set would be asked."""
    return MlflowClient(server.url, registry_uri=server.url)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**more: str) -> dict[str, str]:
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {**kept, **quiet, **more}


def fill(uri: str, folder: Path, large: int) -> None:
    done = subprocess.run([sys.executable, str(FILL), uri, str(large)], cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stock")
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "artifacts")),
    ]
    log = (folder / "log").open("w")
    process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    started = Stock(f"http://127.0.0.1:{port}", folder, process)
    try:
        wait_until_ready(started)
        fill(started.url, folder, LARGE)
        yield started
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def wait_until_ready(stock: Stock) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline:
        assert stock.process.poll() is None, (stock.folder / "log").read_text()[-4000:]
        try:
            with urllib.request.urlopen(f"{stock.url}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the stock server was not ready in time")


@pytest.fixture(scope="module")
def mlruns(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    fill(f"file://{folder / 'mlruns'}", folder, 1 << 20)
    return folder / "mlruns"


@pytest.fixture
def empty(binary, tmp_path):
    started = Server(binary, tmp_path / "data", tmp_path / "log")
    yield started
    started.stop()


def command(binary: str, server: Server, source: str, *more: str) -> list[str]:
    return [binary, "import", "mlflow", "--from", source, "--server", server.url, "--output", "json", *more]


def imports(binary: str, server: Server, source: str, *more: str, code: int = 0, **variables: str) -> dict:
    done = subprocess.run(command(binary, server, source, *more), capture_output=True, text=True, env=environment(**variables))
    assert done.returncode == code, f"{done.returncode}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return json.loads(done.stdout) if done.stdout else {"error": done.stderr}


def numbers(value):
    """As it is kept: infinities are the greatest finite number in every database of MLflow, and here."""
    if math.isnan(value):
        return "nan"
    return max(-sys.float_info.max, min(sys.float_info.max, value))


def experiments(client):
    found = client.search_experiments(view_type=ViewType.ALL)
    # Every server has a Default of its own from its beginning.
    return {one.name: (one.lifecycle_stage, one.name == "Default" or one.creation_time, one.tags) for one in found}


def run_of(client, run, ids):
    info, data = run.info, run.data
    inputs = sorted((one.dataset.name, one.dataset.digest, one.dataset.source_type, one.dataset.source, one.dataset.schema, one.dataset.profile, tuple((tag.key, tag.value) for tag in one.tags)) for one in run.inputs.dataset_inputs)
    outputs = [(one.model_id, one.step) for one in run.outputs.model_outputs] if run.outputs else []
    history = {key: sorted((point.timestamp, point.step, str(numbers(point.value))) for point in client.get_metric_history(info.run_id, key)) for key in data.metrics}
    return {
        "info": (ids[info.experiment_id], info.run_name, info.user_id, info.status, info.start_time, info.end_time, info.lifecycle_stage),
        "params": data.params,
        "tags": data.tags,
        "latest": {key: numbers(value) for key, value in data.metrics.items()},
        "history": history,
        "datasets": inputs,
        "read": sorted(one.model_id for one in run.inputs.model_inputs),
        "made": sorted(outputs),
        "files": files(client, ("artifacts/list", {"run_id": info.run_id}, "path"), lambda path: client.list_artifacts(info.run_id, path)),
    }


def files(client, asked, listed, folder=None):
    """Paths and sizes. A server is asked itself: the client remembers by ids where artifacts are, and ids are the same on both sides."""
    endpoint, query, parameter = asked
    if client.tracking_uri.startswith("http"):
        more = {parameter: folder} if folder else {}
        with urllib.request.urlopen(f"{client.tracking_uri}/api/2.0/mlflow/{endpoint}?{urllib.parse.urlencode({**query, **more})}") as answer:
            entries = [(one["path"], one["is_dir"], one.get("file_size")) for one in json.load(answer).get("files", [])]
    else:
        entries = [(one.path, one.is_dir, one.file_size) for one in listed(folder)]
    found = {}
    for path, is_folder, size in entries:
        found.update(files(client, asked, listed, path) if is_folder else {path: int(size)})
    return found


def runs(client):
    all_experiments = client.search_experiments(view_type=ViewType.ALL)
    ids = {one.experiment_id: one.name for one in all_experiments}
    found = client.search_runs(list(ids), run_view_type=ViewType.ALL)
    return {run.info.run_id: run_of(client, run, ids) for run in found}


def files_of_model(client, model_id):
    endpoint = f"logged-models/{model_id}/artifacts/directories"
    return files(client, (endpoint, {}, "artifact_directory_path"), lambda path: client.list_logged_model_artifacts(model_id, path))


def models(client):
    found = {}
    for experiment in client.search_experiments():
        for model in client.search_logged_models([experiment.experiment_id]):
            scores = sorted((one.key, one.value, one.timestamp, one.step, one.dataset_name or "", one.dataset_digest or "", one.run_id) for one in model.metrics or [])
            found[model.model_id] = (experiment.name, model.name, str(model.status), model.source_run_id or "", model.creation_timestamp, model.tags, model.params, scores, files_of_model(client, model.model_id))
    return found


def registry(client):
    found = {}
    for model in client.search_registered_models():
        whole = client.get_registered_model(model.name)
        versions = {}
        for one in client.search_model_versions(f"name='{model.name}'"):
            one = client.get_model_version(model.name, one.version)
            versions[str(one.version)] = (one.creation_timestamp, one.current_stage, one.description or "", one.run_id or "", one.tags)
        found[model.name] = (whole.creation_timestamp, whole.description or "", whole.tags, {alias: str(version) for alias, version in whole.aliases.items()}, versions)
    return found


def prompts(client):
    found = {}
    for prompt in client.search_prompts():
        versions = sorted(client.search_prompt_versions(prompt.name), key=lambda one: int(one.version))
        # The experiments that a prompt belongs to are told by ids of the server that it comes from.
        tags = {key: value for key, value in prompt.tags.items() if key != "_mlflow_experiment_ids"}
        found[prompt.name] = (tags, [(str(one.version), one.template, one.commit_message or "", one.tags) for one in versions])
    return found


def compares(there: MlflowClient, here: MlflowClient) -> None:
    assert experiments(here) == experiments(there)
    theirs, ours = runs(there), runs(here)
    assert sorted(ours) == sorted(theirs)
    for run_id, run in theirs.items():
        assert ours[run_id] == run
    assert models(here) == models(there)
    assert registry(here) == registry(there)


def test_everything_of_a_stock_server_comes_and_a_second_import_finds_nothing_new(binary, stock, empty, tmp_path):
    report = imports(binary, empty, stock.url)
    assert report["failed"] == [] and report["differs"] == [], report
    assert (report["experiments"]["created"], report["experiments"]["merged"]) == (2, 1), "Default is here already"
    assert report["runs"]["created"] == 7 and report["prompts"]["created"] == 1 and report["aliases"]["created"] == 3
    assert report["metric_points"] > 900 and report["file_bytes"] > LARGE and report["mapped"] == []
    there, here = client_of(stock), client_of(empty)
    compares(there, here)
    assert prompts(here) == prompts(there)

    again = imports(binary, empty, stock.url)
    assert again["failed"] == [] and again["differs"] == []
    for family in ("experiments", "runs", "logged_models", "registered_models", "prompts", "versions", "aliases", "files"):
        assert again[family]["created"] == 0, (family, again[family])
    assert again["runs"]["present"] == 7 and again["metric_points"] == 0 and again["file_bytes"] == 0
    checked = imports(binary, empty, stock.url, "--recheck")
    assert checked["failed"] == [] and checked["differs"] == [] and checked["files"]["created"] == 0 and checked["files"]["present"] > 10
    compares(there, here)


def test_what_was_brought_is_loaded_and_served_and_new_versions_count_on(binary, stock, empty):
    imports(binary, empty, stock.url)
    loaded = subprocess.run(
        [sys.executable, "-c", LOADS, empty.url], env=environment(), capture_output=True, text=True, cwd=stock.folder
    )
    assert loaded.returncode == 0, loaded.stderr[-3000:]
    here = client_of(empty)
    model = here.get_model_version_by_alias("late_arrivals", "champion")
    following = here.create_model_version("late_arrivals", model.source, model_id=model.source.removeprefix("models:/"))
    assert int(following.version) == 5, "the numbers go on after those that were brought"
    started = here.create_run("0")
    assert started.info.run_id not in runs(client_of(stock))


LOADS = """
import sys
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_registry_uri(sys.argv[1])
rows = pandas.DataFrame({"distance": [1.0, 2.0]})
by_alias = mlflow.pyfunc.load_model("models:/late_arrivals@champion").predict(rows)
old_way = mlflow.pyfunc.load_model("models:/late_arrivals/2").predict(rows)
assert list(by_alias) == list(old_way), (by_alias, old_way)
assert mlflow.load_prompt("prompts:/greeting@live").template == "Good day {{name}}"
"""


def test_an_import_that_is_killed_goes_on(binary, stock, empty):
    for patience in (0.05, 0.15, 0.3, 0.6, 1.0, 1.5):
        process = subprocess.Popen(command(binary, empty, stock.url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    report = imports(binary, empty, stock.url)
    assert report["failed"] == [] and report["differs"] == [], report
    compares(client_of(stock), client_of(empty))


def test_what_the_source_adds_later_comes_with_the_next_import_and_what_differs_stays(binary, stock, empty):
    imports(binary, empty, stock.url)
    there, here = client_of(stock), client_of(empty)
    run = there.create_run("0", run_name="late")
    there.log_batch(run.info.run_id, [Metric("m", 1.0, 5, 0)], [Param("p", "1")], [RunTag("t", "there")])
    imports(binary, empty, stock.url)
    here.set_tag(run.info.run_id, "t", "here")
    there.log_batch(run.info.run_id, [Metric("m", 2.0, 6, 1)], [Param("q", "2")], [])
    there.set_terminated(run.info.run_id, "FINISHED", 9)
    report = imports(binary, empty, stock.url)
    there.delete_run(run.info.run_id)
    brought = here.get_run(run.info.run_id)
    assert (brought.info.status, brought.info.end_time) == ("FINISHED", 9)
    assert brought.data.params == {"p": "1", "q": "2"} and len(here.get_metric_history(run.info.run_id, "m")) == 2
    assert brought.data.tags["t"] == "here"
    assert any("tag t is `here` here and `there` there" in one["why"] for one in report["differs"]), report["differs"]


def test_an_experiment_of_the_same_name_is_merged_and_ids_that_are_taken_are_mapped(binary, stock, empty):
    here = client_of(empty)
    taken = here.create_experiment("mine")
    merged = here.create_experiment("flights")
    report = imports(binary, empty, stock.url)
    assert report["experiments"]["merged"] == 2 and report["failed"] == []
    mapped = {one["name"]: (one["id_there"], one["id_here"]) for one in report["mapped"]}
    there = client_of(stock).get_experiment_by_name("flights")
    assert mapped["flights"] == (there.experiment_id, merged) and taken != merged
    found = here.search_runs([merged], run_view_type=ViewType.ALL)
    assert len(found) == 5
    assert all(f"/{merged}/" in run.info.artifact_uri for run in found)


def test_an_alias_that_a_gate_refuses_is_reported_and_not_given(binary, stock, empty, tmp_path):
    gate = tmp_path / "gate.yaml"
    gate.write_text("kind: gate\nname: worthy\nmodel: late_arrivals\nalias: champion\nrequire: [{ metric: auc, at_least: 0.1 }, { evaluation: own_artifact }]\n")
    applied = subprocess.run([binary, "apply", str(gate), "--server", empty.url], capture_output=True, text=True)
    assert applied.returncode == 0, applied.stderr
    report = imports(binary, empty, stock.url, code=1)
    assert [one["what"] for one in report["failed"]] == ["alias late_arrivals@champion"], report["failed"]
    assert "worthy" in report["failed"][0]["why"]
    here = client_of(empty)
    assert set(here.get_registered_model("late_arrivals").aliases) == {"challenger"}


def test_a_folder_of_files_comes_as_a_server_over_it_would_tell_it(binary, mlruns, empty):
    report = imports(binary, empty, str(mlruns))
    assert report["failed"] == [] and report["differs"] == [], report
    assert report["runs"]["created"] == 7 and report["aliases"]["created"] == 3 and report["prompts"]["created"] == 1
    told = subprocess.run([sys.executable, "-c", TELLS, f"file://{mlruns}"], env=environment(PYTHONPATH=os.pathsep.join(sys.path)), capture_output=True, text=True)
    assert told.returncode == 0, told.stderr[-3000:]
    theirs = json.loads(told.stdout)
    here = client_of(empty)
    assert json.loads(json.dumps([experiments(here), runs(here), models(here), registry(here), prompts(here)])) == theirs
    again = imports(binary, empty, str(mlruns))
    assert all(again[family]["created"] == 0 for family in ("experiments", "runs", "logged_models", "versions", "files"))
    assert again["metric_points"] == 0 and again["differs"] == []


# The client over a folder keeps its stores in globals, so it tells from a process of its own.
TELLS = """
import json, sys
import mlflow
sys.path.insert(0, %r)
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_registry_uri(sys.argv[1])
from mlflow import MlflowClient
import test_mlflow_import as told
client = MlflowClient(sys.argv[1])
print(json.dumps([told.experiments(client), told.runs(client), told.models(client), told.registry(client), told.prompts(client)]))
""" % str(Path(__file__).parent)


def test_everything_comes_into_the_workspace_that_is_named(binary, mlruns, empty):
    made = subprocess.run([binary, "workspaces", "create", "team-a", "--server", empty.url], capture_output=True, text=True)
    assert (made.returncode, made.stdout) == (0, "created team-a\n"), made.stderr
    refused = subprocess.run(command(binary, empty, str(mlruns), "--workspace", "nowhere"), capture_output=True, text=True, env=environment())
    assert refused.returncode == 1
    assert "Workspace 'nowhere' not found" in refused.stderr
    imports(binary, empty, str(mlruns), "--workspace", "team-a")
    assert [one.name for one in client_of(empty).search_registered_models()] == []
    mlflow.set_workspace("team-a")
    try:
        here = client_of(empty)
        assert "late_arrivals" in [one.name for one in here.search_registered_models()]
        assert here.get_model_version_by_alias("late_arrivals", "champion").version == "1"
        assert {"flights"} <= {one.name for one in here.search_experiments()}
    finally:
        mlflow.set_workspace(None)


def test_a_folder_that_was_moved_still_has_its_files_and_links_are_not_followed(binary, mlruns, empty, tmp_path):
    moved = tmp_path / "elsewhere"
    subprocess.run(["cp", "-r", str(mlruns), str(moved)], check=True)
    run = next(path for path in moved.glob("*/*/artifacts/config.json"))
    (run.parent / "secret").symlink_to("/etc/passwd")
    report = imports(binary, empty, str(moved))
    assert report["failed"] == []
    assert any(one["what"].endswith("secret") for one in report["left_out"]), report["left_out"]
    here = client_of(empty)
    run_id = run.parent.parent.name
    listed = files(here, ("artifacts/list", {"run_id": run_id}, "path"), None)
    assert listed == {"config.json": len(run.read_bytes()), "notes/a b.txt": 5}


def test_a_broken_file_fails_by_itself_and_the_rest_comes(binary, mlruns, empty, tmp_path):
    broken = tmp_path / "broken"
    subprocess.run(["cp", "-r", str(mlruns), str(broken)], check=True)
    meta = sorted(broken.glob("*/*/meta.yaml"))
    run = next(path for path in meta if path.parent.joinpath("metrics/val/auc").exists())
    run.parent.joinpath("metrics/val/auc").write_text("not a point\n1700000000000 0.5 3\n")
    other = next(path for path in meta if path.parent.joinpath("metrics/loss").exists() and path != run)
    other.write_text("run_id: [")
    report = imports(binary, empty, str(broken), code=1)
    assert sorted(one["what"].rsplit("/", 1)[1] for one in report["failed"]) == ["auc", "meta.yaml"]
    assert report["runs"]["created"] == 6
    history = client_of(empty).get_metric_history(run.parent.name, "val/auc")
    assert [(point.value, point.step) for point in history] == [(0.5, 3)]


def test_a_source_that_is_wrong_says_what_to_do(binary, empty, tmp_path):
    (tmp_path / "db").mkdir()
    (tmp_path / "db/mlflow.db").touch()
    assert "mlflow server --backend-store-uri" in imports(binary, empty, str(tmp_path / "db"), code=1)["error"]
    assert "no such folder" in imports(binary, empty, str(tmp_path / "nothing"), code=1)["error"]
    said = imports(binary, empty, "http://ada:hush@127.0.0.1:1", code=1)["error"]
    assert "--from-user" in said and "hush" not in said


class Fussy(BaseHTTPRequestHandler):
    """Passes requests on to a stock server, for those who know the password; of each path the first request finds it busy."""

    origin = ""
    asked: set[str] = set()

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("authorization") != "Basic YWRhOmh1c2ghaHVzaCE=":
            self.send_response(401)
            self.end_headers()
            return
        kind = self.path.split("?")[0].rsplit("/", 1)[0]
        if kind not in self.asked:
            self.asked.add(kind)
            self.send_response(429 if len(self.asked) % 2 else 503)
            self.send_header("retry-after", "0")
            self.end_headers()
            return
        headers = {"content-type": self.headers.get("content-type") or "application/json"}
        request = urllib.request.Request(self.origin + self.path, body or None, headers, method=self.command)
        with urllib.request.urlopen(request) as answer:
            content = answer.read()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = pass_on

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fussy(stock):
    handler = type("FussyOfStock", (Fussy,), {"origin": stock.url, "asked": set()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_busy_source_is_asked_again_and_credentials_are_sent_and_never_shown(binary, stock, fussy, empty):
    refused = imports(binary, empty, fussy, code=1)
    assert "error" in refused or refused["failed"] or refused["runs"]["created"] == 0
    variables = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "hush!hush!"}
    report = imports(binary, empty, fussy, **variables)
    assert report["failed"] == [] and "hush" not in json.dumps(report)
    compares(client_of(stock), client_of(empty))


def test_a_source_or_a_destination_that_is_not_there_is_named(binary, empty):
    nobody = f"http://127.0.0.1:{free_port()}"
    done = subprocess.run([binary, "import", "mlflow", "--from", nobody, "--server", nobody], capture_output=True, text=True, env=environment(), timeout=120)
    assert done.returncode == 3 and "the destination" in done.stderr, done.stderr


def test_without_the_right_to_manage_nothing_is_brought(binary, stock, tmp_path):
    token = "a token of more than sixteen characters"
    server = Server(binary, tmp_path / "data", tmp_path / "log", {"SHIPWAY_TOKEN": token})
    try:
        done = subprocess.run(command(binary, server, stock.url), capture_output=True, text=True, env=environment())
        assert done.returncode == 1 and token not in done.stderr + done.stdout
    finally:
        server.stop()
