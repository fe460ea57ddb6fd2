"""`shipway purge` over what the real client has deleted: it goes for good with its files, also when the server is killed in the middle."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from real_binary import Server

RUNS = 300
PATIENCE_SECONDS = 60.0


def purge(binary: str, server: Server, *more: str) -> subprocess.CompletedProcess:
    command = [binary, "purge", "--server", server.url, "--output", "json", "--older-than", *more]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def jobs(binary: str, server: Server) -> list[dict]:
    listed = subprocess.run([binary, "jobs", "list", "--server", server.url, "--output", "json"], capture_output=True, text=True, check=True)
    return json.loads(listed.stdout)["jobs"]


def blobs(server: Server) -> int:
    return sum(1 for path in (server.data / "objects/sha256").rglob("*") if path.is_file())


@pytest.fixture
def own(binary, tmp_path):
    started = Server(binary, tmp_path / "data", tmp_path / "log")
    yield started
    try:
        started.stop()
    except Exception:  # the test has ended it
        started.kill()


def test_deleted_runs_go_with_their_files_and_nobody_is_not_a_yes(binary, own, tmp_path):
    client = MlflowClient(own.url)
    gone, kept = client.create_run("0").info.run_id, client.create_run("0").info.run_id
    for run_id in (gone, kept):
        client.log_text(run_id, run_id, "own.txt")
        client.log_text(run_id, "shared", "shared.txt")
    client.delete_run(gone)
    assert json.loads(purge(binary, own, "1d", "--dry-run").stdout)["runs"] == 0
    plan = json.loads(purge(binary, own, "0", "--dry-run").stdout)
    assert (plan["runs"], plan["protected"]) == (1, [])
    refused = purge(binary, own, "0")
    assert refused.returncode == 1 and "--yes" in refused.stderr and client.get_run(gone)
    job = json.loads(purge(binary, own, "0", "--yes").stdout)
    assert (job["state"], job["result"]["runs"], job["result"]["blobs"]) == ("done", 1, 1)
    with pytest.raises(MlflowException, match="not found"):
        client.get_run(gone)
    assert client.get_run(kept).info.lifecycle_stage == "active" and blobs(own) == 2


def test_a_purge_goes_on_after_the_server_was_killed(binary, tmp_path):
    server = Server(binary, tmp_path / "data", tmp_path / "log")
    client = MlflowClient(server.url)
    for number in range(RUNS):
        run_id = client.create_run("0").info.run_id
        client.log_text(run_id, f"content {number}", "a.txt")
        client.delete_run(run_id)
    asking = threading.Thread(target=purge, args=(binary, server, "0", "--yes"))
    asking.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(client.search_runs(["0"], run_view_type=ViewType.ALL, max_results=1000)) == RUNS:
        assert time.monotonic() < deadline
    server.kill()
    asking.join()

    again = Server(binary, tmp_path / "data", Path(tmp_path / "log2"))
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while jobs(binary, again)[0]["state"] in ("queued", "running"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert jobs(binary, again)[0]["state"] == "done"
        assert MlflowClient(again.url).search_runs(["0"], run_view_type=ViewType.ALL) == [] and blobs(again) == 0
    finally:
        again.stop()
