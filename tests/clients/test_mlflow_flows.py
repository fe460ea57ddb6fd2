"""What people do with runs and artifacts, with the unmodified MLflow client against the real server.

Models and autologging are in `test_mlflow_flows_models.py`, searches in `test_mlflow_flows_search.py`.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import mlflow
import numpy
import pandas
import pytest
import requests
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.cli import cli as mlflow_cli
from mlflow.entities import Metric, ViewType
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from test_mlflow import client, name  # noqa: F401  fixtures

GIBIBYTE = 1 << 30
# What a server may hold more than before while a file of a gibibyte goes through it.
MEMORY_GROWTH_MIB = 200

matplotlib.use("Agg")


def test_figures_images_and_documents_come_back(client, name, tmp_path):
    from matplotlib import pyplot

    mlflow.set_experiment(name)
    figure, axes = pyplot.subplots()
    axes.plot([0, 1], [1, 0])
    pixels = numpy.zeros((8, 8, 3), dtype=numpy.uint8)
    pixels[2:4] = 255
    with mlflow.start_run() as run:
        mlflow.log_figure(figure, "figures/line.png")
        mlflow.log_image(pixels, "images/bar.png")
        mlflow.log_image(pixels, key="bar", step=3)
        mlflow.log_dict({"depth": 3, "names": ["a", "é"]}, "config/tree.json")
        mlflow.log_dict({"depth": 3}, "config/tree.yaml")
        mlflow.log_text("<b>hello</b>", "page.html")
    pyplot.close(figure)
    root = f"runs:/{run.info.run_id}"
    assert sorted(file.path for file in client.list_artifacts(run.info.run_id)) == ["config", "figures", "images", "page.html"]
    loaded = mlflow.artifacts.load_image(f"{root}/images/bar.png")
    numpy.testing.assert_array_equal(numpy.asarray(loaded.convert("RGB")), pixels)
    assert mlflow.artifacts.load_image(f"{root}/figures/line.png").size[0] > 100
    assert mlflow.artifacts.load_dict(f"{root}/config/tree.json") == {"depth": 3, "names": ["a", "é"]}
    assert mlflow.artifacts.load_text(f"{root}/config/tree.yaml") == "depth: 3\n"
    assert mlflow.artifacts.load_text(f"{root}/page.html") == "<b>hello</b>"
    steps = [file.path for file in client.list_artifacts(run.info.run_id, "images") if "bar" in file.path and file.path != "images/bar.png"]
    assert len(steps) == 2 and all("step" in path and "3" in path for path in steps)
    assert client.get_run(run.info.run_id).data.tags["mlflow.loggedImages"] == "True"


def test_tables_are_appended_to_and_loaded_over_runs(client, name):
    experiment = mlflow.set_experiment(name)
    with mlflow.start_run() as first:
        mlflow.log_table({"asked": ["a", "b"], "score": [1, 2]}, "answers.json")
        mlflow.log_table(pandas.DataFrame({"asked": ["c"], "score": [3]}), "answers.json")
    with mlflow.start_run() as second:
        mlflow.log_table({"asked": ["d"], "score": [4]}, "answers.json")
    assert list(mlflow.load_table("answers.json", run_ids=[first.info.run_id])["score"]) == [1, 2, 3]
    ids = [first.info.run_id, second.info.run_id]
    table = mlflow.load_table("answers.json", run_ids=ids, extra_columns=["run_id"])
    assert sorted(zip(table["run_id"], table["score"], strict=True)) == sorted([(ids[0], 1), (ids[0], 2), (ids[0], 3), (ids[1], 4)])
    everything = client.load_table(experiment.experiment_id, "answers.json")
    assert sorted(everything["asked"]) == ["a", "b", "c", "d"]
    assert "answers.json" in client.get_run(ids[0]).data.tags["mlflow.loggedArtifacts"]


def test_nested_runs_are_found_by_their_parent(client, name):
    experiment = mlflow.set_experiment(name)
    with mlflow.start_run(run_name="parent") as parent:
        for number in range(3):
            with mlflow.start_run(run_name=f"child-{number}", nested=True) as child:
                mlflow.log_metric("loss", 3 - number)
                with mlflow.start_run(run_name=f"grandchild-{number}", nested=True):
                    pass
    by_parent = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    found = client.search_runs([experiment.experiment_id], by_parent, order_by=["metrics.loss ASC"])
    assert [run.info.run_name for run in found] == ["child-2", "child-1", "child-0"]
    below = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{child.info.run_id}'")
    assert [run.info.run_name for run in below] == ["grandchild-2"]
    assert mlflow.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id
    assert mlflow.get_parent_run(parent.info.run_id) is None
    assert len(client.search_runs([experiment.experiment_id])) == 7


def test_ten_thousand_points_of_a_metric_come_back_in_order_and_in_pages(client, server_url, name):
    run_id = client.create_run(client.create_experiment(name)).info.run_id
    points = [Metric("loss", 1 / (step + 1), 1_700_000_000_000 + step, step) for step in range(10_000)]
    for start in range(0, len(points), 1000):
        client.log_batch(run_id, metrics=points[start : start + 1000])
    history = client.get_metric_history(run_id, "loss")
    assert [(point.step, point.timestamp, point.value) for point in history] == [(point.step, point.timestamp, point.value) for point in points]
    assert client.get_run(run_id).data.metrics == {"loss": points[-1].value}

    pages, token = [], None
    while token != "":
        asked = {"run_id": run_id, "metric_key": "loss", "max_results": 3000, **({"page_token": token} if token else {})}
        answer = requests.get(f"{server_url}/api/2.0/mlflow/metrics/get-history", asked, timeout=60)
        assert answer.status_code == 200, answer.text
        pages.append([metric["step"] for metric in answer.json()["metrics"]])
        token = answer.json().get("next_page_token", "")
    assert [len(page) for page in pages] == [3000, 3000, 3000, 1000]
    assert sum(pages, []) == list(range(10_000))

    # A batch that a client sends again after a lost answer adds nothing.
    client.log_batch(run_id, metrics=points[:1000])
    assert len(client.get_metric_history(run_id, "loss")) == 10_000
    assert client.get_metric_history(run_id, "never logged") == []


def test_asynchronous_logging_loses_nothing(client, name):
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        operations = [mlflow.log_metrics({"loss": step / 10, "acc": step}, step=step, synchronous=False) for step in range(300)]
        mlflow.log_params({f"p{number}": number for number in range(150)}, synchronous=False).wait()
        mlflow.set_tags({"mode": "async"}, synchronous=False)
        operations[0].wait()
        mlflow.flush_async_logging()
    kept = client.get_run(run.info.run_id)
    assert kept.data.metrics == {"loss": 29.9, "acc": 299} and len(kept.data.params) == 150 and kept.data.tags["mode"] == "async"
    assert [point.step for point in client.get_metric_history(run.info.run_id, "loss")] == list(range(300))
    refused = client.log_param(run.info.run_id, "p1", "another", synchronous=False)
    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        refused.wait()


def test_a_gibibyte_goes_up_and_down_without_being_held(client, server, name, tmp_path):
    source = tmp_path / "weights.bin"
    _sparse(source)
    run_id = client.create_run(client.create_experiment(name)).info.run_id
    before = _memory_mib(server.pid, "VmRSS")
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    client.log_artifact(run_id, str(source), "big")
    (listed,) = client.list_artifacts(run_id, "big")
    assert (listed.path, listed.file_size) == ("big/weights.bin", GIBIBYTE)
    sent = _digest(source)
    source.unlink()
    (tmp_path / "down").mkdir()
    loaded = Path(client.download_artifacts(run_id, "big/weights.bin", str(tmp_path / "down")))
    assert loaded.stat().st_size == GIBIBYTE and _digest(loaded) == sent
    loaded.unlink()
    assert _memory_mib(server.pid, "VmHWM") - before < MEMORY_GROWTH_MIB
    get_artifact_repository(client.get_run(run_id).info.artifact_uri).delete_artifacts("big/weights.bin")


def _sparse(path: Path) -> None:
    """A file of a gibibyte that takes a few blocks of the disk: a mark every 64 MiB, and one at its end."""
    with path.open("wb") as file:
        for place in range(0, GIBIBYTE, 64 << 20):
            file.seek(place)
            file.write(f"mark at {place}".encode())
        file.seek(GIBIBYTE - 3)
        file.write(b"end")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _memory_mib(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def test_folders_of_artifacts_are_listed_loaded_in_part_and_deleted(client, name, tmp_path):
    files = {"top.txt": b"0", "a/one.txt": b"1", "a/b/two.txt": b"22", "a/b/deep/three.bin": bytes(range(256)), "ab/near.txt": b"n", "empty": b""}
    for path, content in files.items():
        (tmp_path / "up" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / path).write_bytes(content)
    run_id = client.create_run(client.create_experiment(name)).info.run_id
    client.log_artifacts(run_id, str(tmp_path / "up"), "given")
    client.log_artifact(run_id, str(tmp_path / "up" / "a" / "one.txt"))

    def listed(path: str | None = None) -> list[tuple[str, bool, int | None]]:
        # An empty file may come without a size.
        return sorted((file.path, file.is_dir, None if file.is_dir else file.file_size or 0) for file in client.list_artifacts(run_id, path))

    assert listed() == [("given", True, None), ("one.txt", False, 1)]
    assert listed("given") == [("given/a", True, None), ("given/ab", True, None), ("given/empty", False, 0), ("given/top.txt", False, 1)]
    assert listed("given/a/b") == [("given/a/b/deep", True, None), ("given/a/b/two.txt", False, 2)]
    assert listed("given/top.txt") == [] and listed("given/none") == []

    def loaded(path: str) -> dict[str, bytes]:
        folder = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=str(tmp_path / path.replace("/", "_"))))
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    assert loaded("given") == files
    assert loaded("given/a/b") == {"two.txt": b"22", "deep/three.bin": bytes(range(256))}
    with pytest.raises(MlflowException):
        client.download_artifacts(run_id, "given/none", str(tmp_path))

    repository = get_artifact_repository(client.get_run(run_id).info.artifact_uri)
    repository.delete_artifacts("given/a/one.txt")
    assert listed("given/a") == [("given/a/b", True, None)]
    repository.delete_artifacts("given/a")
    assert listed("given") == [("given/ab", True, None), ("given/empty", False, 0), ("given/top.txt", False, 1)]
    assert listed("given/ab") == [("given/ab/near.txt", False, 1)]
    # A path that was deleted can be written again, and another content replaces the first.
    client.log_text(run_id, "again", "given/a/one.txt")
    client.log_text(run_id, "changed", "given/a/one.txt")
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/given/a/one.txt") == "changed"


@pytest.mark.parametrize("path", ["../outside.txt", "a/../../outside.txt", "/etc/outside.txt"])
def test_an_artifact_never_leaves_its_run(client, name, path):
    run_id = client.create_run(client.create_experiment(name)).info.run_id
    with pytest.raises(MlflowException):
        client.log_text(run_id, "no", path)
    assert client.list_artifacts(run_id) == []


def test_names_of_artifacts_may_hold_every_letter(client, name, tmp_path):
    run_id = client.create_run(client.create_experiment(name)).info.run_id
    names = ["with space.txt", "näme.txt", "5%.txt", "plus+and&.txt"]
    for each in names:
        client.log_text(run_id, f"this is {each}", f"ф/{each}")
    assert sorted(file.path for file in client.list_artifacts(run_id, "ф")) == sorted(f"ф/{each}" for each in names)
    for each in names:
        loaded = Path(client.download_artifacts(run_id, f"ф/{each}", str(tmp_path)))
        assert loaded.read_text() == f"this is {each}"


def test_deleted_runs_are_hidden_and_come_back(client, name):
    experiment_id = client.create_experiment(name)
    kept, deleted = (client.create_run(experiment_id, run_name=each).info.run_id for each in ["kept", "deleted"])
    client.log_metric(deleted, "auc", 0.5)
    client.delete_run(deleted)

    def found(view: int) -> set[str]:
        return {run.info.run_name for run in client.search_runs([experiment_id], run_view_type=view)}

    assert client.get_run(deleted).info.lifecycle_stage == "deleted"
    assert found(ViewType.ACTIVE_ONLY) == {"kept"}
    assert found(ViewType.DELETED_ONLY) == {"deleted"}
    assert found(ViewType.ALL) == {"kept", "deleted"}
    for act in [lambda: client.log_metric(deleted, "auc", 1), lambda: client.log_param(deleted, "p", 1), lambda: client.set_tag(deleted, "t", "1")]:
        with pytest.raises(MlflowException, match="must be in the 'active' state"):
            act()
    client.restore_run(deleted)
    client.log_metric(deleted, "auc", 0.7)
    assert client.get_run(deleted).info.lifecycle_stage == "active" and client.get_run(deleted).data.metrics == {"auc": 0.7}
    assert found(ViewType.ACTIVE_ONLY) == {"kept", "deleted"}
    # What goes with its experiment comes back with it.
    client.delete_experiment(experiment_id)
    assert client.get_run(kept).info.lifecycle_stage == "deleted"
    client.restore_experiment(experiment_id)
    assert found(ViewType.ACTIVE_ONLY) == {"kept", "deleted"}
    with pytest.raises(MlflowException, match="not found"):
        client.delete_run("0" * 32)


def test_a_run_is_renamed_ended_and_loses_a_tag(client, name):
    experiment = mlflow.set_experiment(name)
    run = client.create_run(experiment.experiment_id, tags={"stage": "trial"}, run_name="first")
    client.update_run(run.info.run_id, status="RUNNING", name="second")
    client.delete_tag(run.info.run_id, "stage")
    client.set_terminated(run.info.run_id, "KILLED", end_time=1_700_000_000_123)
    kept = client.get_run(run.info.run_id)
    assert (kept.info.run_name, kept.data.tags["mlflow.runName"], kept.info.status, kept.info.end_time) == ("second", "second", "KILLED", 1_700_000_000_123)
    assert "stage" not in kept.data.tags
    with pytest.raises(MlflowException, match="stage"):
        client.delete_tag(run.info.run_id, "stage")
    with mlflow.start_run(run_id=run.info.run_id) as resumed:
        mlflow.log_metric("auc", 1)
    assert resumed.info.run_id == run.info.run_id and client.get_run(run.info.run_id).info.status == "FINISHED"


def test_tags_of_experiments_are_set_found_and_deleted(client, name):
    experiment_id = client.create_experiment(name, tags={"team": "ops"})
    client.set_experiment_tag(experiment_id, "stage", "first")
    client.set_experiment_tag(experiment_id, "stage", "second")
    assert client.get_experiment(experiment_id).tags == {"team": "ops", "stage": "second"}
    words = f"tags.stage = 'second' AND name LIKE '{name[:10]}%' AND name = '{name}'"
    assert [one.experiment_id for one in client.search_experiments(filter_string=words)] == [experiment_id]
    client.delete_experiment_tag(experiment_id, "stage")
    assert client.get_experiment(experiment_id).tags == {"team": "ops"}
    assert list(client.search_experiments(filter_string=words)) == []
    with pytest.raises(MlflowException):
        client.delete_experiment_tag(experiment_id, "stage")


def test_the_command_line_of_mlflow(client, server_url, name, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server_url)

    def say(*words: str) -> str:
        done = CliRunner().invoke(mlflow_cli, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    say("experiments", "create", "--experiment-name", name)
    experiment_id = client.get_experiment_by_name(name).experiment_id
    assert name in say("experiments", "search", "--view", "active_only")
    run_id = client.create_run(experiment_id, run_name="from-outside").info.run_id
    (tmp_path / "note.txt").write_text("hello")
    say("artifacts", "log-artifact", "--local-file", str(tmp_path / "note.txt"), "--run-id", run_id, "--artifact-path", "notes")
    assert "notes/note.txt" in say("artifacts", "list", "--run-id", run_id, "--artifact-path", "notes")
    say("artifacts", "download", "--run-id", run_id, "--artifact-path", "notes", "--dst-path", str(tmp_path / "down"))
    assert (tmp_path / "down" / "notes" / "note.txt").read_text() == "hello"
    assert f'"run_id": "{run_id}"' in say("runs", "describe", "--run-id", run_id)
    say("runs", "delete", "--run-id", run_id)
    assert run_id not in say("runs", "list", "--experiment-id", experiment_id)
    say("runs", "restore", "--run-id", run_id)
    say("experiments", "rename", "--experiment-id", experiment_id, "--new-name", f"{name}_2")
    say("experiments", "delete", "--experiment-id", experiment_id)
    assert name not in say("experiments", "search", "--view", "active_only")
    say("experiments", "restore", "--experiment-id", experiment_id)
    # Once as people call it: a process of its own.
    command = [sys.executable, "-m", "mlflow", "runs", "list", "--experiment-id", experiment_id]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "MLFLOW_TRACKING_URI": server_url})
    assert done.returncode == 0, done.stderr
    assert "from-outside" in done.stdout and run_id in done.stdout


def test_a_client_without_an_experiment_logs_into_the_default_one(client, server_url):
    assert client.get_experiment("0").name == "Default"
    run = MlflowClient(server_url).create_run("0")
    assert run.info.experiment_id == "0" and run.info.run_name
    client.delete_run(run.info.run_id)
