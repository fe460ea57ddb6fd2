"""Launches: a candidate comes to serve step by step while clients that know nothing of it go on asking."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import Counter

import lightgbm
import mlflow
import numpy
import pytest
import requests
import tritonclient.http
from real_binary import Server
from serving_models import add_sub, booster, deploy, register

QUICK = {"shadow_share": 1, "canary_shares": [0.5], "hold_s": 0, "gates": {"min_requests": 40, "max_latency_ratio": None}}


def shifted(by: float) -> lightgbm.Booster:
    """A model like `booster()` whose predictions are moved."""
    rows = numpy.random.default_rng(5).normal(size=(400, 3))
    data = lightgbm.Dataset(rows, label=rows[:, 0] + by, feature_name=["a", "b", "c"])
    return lightgbm.train({"num_leaves": 7, "verbose": -1, "min_data_in_leaf": 5}, data, num_boost_round=10)


def launch_of(server_url: str, name: str) -> dict:
    return requests.get(f"{server_url}/api/v1/deployments/{name}/launch", timeout=10).json()


class Callers:
    """Clients that ask one row after the other, until they are told to stop."""

    def __init__(self, url: str, name: str) -> None:
        self.stop, self.answers, self.failures = threading.Event(), [], []
        self.urls = [f"{url}/api/v1/predict/{name}", f"{url}/endpoints/{name}/invocations"]
        self.threads = [threading.Thread(target=self.ask, args=(number,)) for number in range(4)]

    def ask(self, number: int) -> None:
        random = numpy.random.default_rng(number)
        with requests.Session() as session:
            while not self.stop.is_set():
                row = dict(zip("abc", random.normal(size=3).tolist(), strict=True))
                body = {"rows": [row]} if number % 2 == 0 else {"dataframe_records": [row]}
                answer = session.post(self.urls[number % 2], json=body, timeout=30)
                if not answer.ok:
                    self.failures.append(answer.text)
                elif number % 2 == 0:
                    self.answers.append((answer.json()["variant"], answer.json()["version"]))
                else:
                    headers = answer.headers
                    self.answers.append((headers["x-shipway-variant"], int(headers["x-shipway-model-version"])))

    def __enter__(self) -> Callers:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def until_it_is_over(self, url: str, name: str) -> dict:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            launch = launch_of(url, name)
            if launch["stage"] not in ("shadow", "canary"):
                return launch
            time.sleep(0.05)
        pytest.fail(f"the launch goes on: {launch}")


def test_a_candidate_is_launched_under_load_and_no_request_fails(server_url, binary):
    name = deploy(server_url, shifted(0.0))
    assert register(server_url, name, shifted(0.0), alias="challenger") == 2
    with Callers(server_url, name) as callers:
        command = [
            *(str(binary), "--server", server_url, "launch", "start", name, "--alias", "challenger", "--watch"),
            *("--canary-shares", "0.2,0.5", "--hold", "1", "--min-requests", "50", "--max-latency-ratio", "off"),
        ]
        watched = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert watched.returncode == 0, watched.stdout + watched.stderr
        seen = len(callers.answers)
        while len(callers.answers) < seen + 20:
            time.sleep(0.01)
    assert callers.failures == []
    answered = Counter(callers.answers)
    assert set(answered) == {("stable", 1), ("canary", 2), ("stable", 2)}, answered
    assert callers.answers[-1] == ("stable", 2)
    assert "canary 20.0 %" in watched.stdout and watched.stdout.rstrip().count("full") >= 1, watched.stdout
    # The alias was given to it, for whoever else goes by it.
    version = requests.get(
        f"{server_url}/api/2.0/mlflow/registered-models/alias", params={"name": name, "alias": "champion"}, timeout=10
    ).json()
    assert version["model_version"]["version"] == "2"


def test_a_candidate_that_predicts_otherwise_is_rolled_back_from_the_shadow(server_url, binary):
    name = deploy(server_url, shifted(0.0))
    register(server_url, name, shifted(5.0), alias="challenger")
    path = f"{server_url}/api/v1/deployments/{name}/launch"
    with Callers(server_url, name) as callers:
        begun = requests.post(path, json={"alias": "challenger", **QUICK}, timeout=30)
        assert begun.status_code == 201, begun.text
        launch = callers.until_it_is_over(server_url, name)
    assert callers.failures == [] and set(callers.answers) == {("stable", 1)}
    assert launch["stage"] == "rolled_back" and launch["reason"].startswith("drift: "), launch
    query = f"SELECT count(*) AS n FROM shadow__{name} s JOIN predictions__{name} p ON p.request_id = s.request_id"
    rows = requests.post(f"{server_url}/api/v1/sql", json={"query": query}, timeout=30)
    assert rows.ok, rows.text
    listed = subprocess.run(
        [str(binary), "--server", server_url, "launch", "list", name], capture_output=True, text=True, timeout=30, check=True
    )
    assert "rolled back" in listed.stdout and "drift: " in listed.stdout


def test_a_version_of_a_launch_can_be_asked_for_by_its_number(server_url):
    name = deploy(server_url, add_sub())
    register(server_url, name, add_sub(), alias="challenger")
    path = f"{server_url}/api/v1/deployments/{name}/launch"
    body = {"alias": "challenger", "shadow_share": 0, "canary_shares": [0.5], "key": "INPUT0", "hold_s": 3600}
    assert requests.post(path, json=body, timeout=30).status_code == 201
    client = tritonclient.http.InferenceServerClient(server_url.removeprefix("http://"))

    def ask(number: int, version: str = "", parameters: dict | None = None):
        inputs = []
        for one in ("INPUT0", "INPUT1"):
            tensor = tritonclient.http.InferInput(one, [1, 16], "INT32")
            tensor.set_data_from_numpy(numpy.full((1, 16), number, dtype=numpy.int32))
            inputs.append(tensor)
        answer = client.infer(name, inputs, model_version=version, parameters=parameters)
        assert (answer.as_numpy("OUTPUT0") == 2 * number).all()
        return answer.get_response()

    assert ask(1, "1")["model_version"] == "1"
    launched = ask(1, "2")
    assert launched["model_version"] == "2" and launched["parameters"]["variant"] == "canary"
    with pytest.raises(tritonclient.utils.InferenceServerException, match="serves version 1, not 3"):
        ask(1, "3")
    # The first element decides, and decides the same every time; a key of the request's own goes before it.
    first = [ask(number)["model_version"] for number in range(60)]
    assert first == [ask(number)["model_version"] for number in range(60)]
    assert {"1", "2"} == set(first)
    asked = {ask(number, parameters={"key": "me"})["model_version"] for number in range(20)}
    assert len(asked) == 1
    both = client.get_inference_statistics()["model_stats"]
    assert {one["version"] for one in both if one["name"] == name} == {"1", "2"}
    assert requests.delete(path, timeout=10).json()["stage"] == "cancelled"
    assert {ask(number)["model_version"] for number in range(20)} == {"1"}


def test_a_launch_needs_the_right_to_give_the_alias(binary, tmp_path, monkeypatch):
    operator, before = "a token of more than sixteen characters", (mlflow.get_tracking_uri(), mlflow.get_registry_uri())
    server = Server(binary, tmp_path / "data", tmp_path / "log", {"SHIPWAY_TOKEN": operator})

    def ask(method: str, path: str, who: tuple[str, str] | None, **options: object) -> requests.Response:
        headers = {"Authorization": f"Bearer {operator}"} if who is None else {}
        return requests.request(method, f"{server.url}{path}", headers=headers, auth=who, timeout=30, **options)

    try:
        deployer = ("deployer", "correct horse battery")
        made = ask("POST", "/api/v1/users", None, json={"name": deployer[0], "password": deployer[1]})
        assert made.ok, made.text
        for grant in ("deployment:manage", "registered_model:read"):
            assert ask("POST", f"/api/v1/users/{deployer[0]}/grants", None, json={"grant": grant}).ok
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", operator)
        register(server.url, "guarded", booster())
        body = {"model": "guarded", "alias": "champion"}
        assert ask("PUT", "/api/v1/deployments/guarded", deployer, json=body).ok
        refused = ask("POST", "/api/v1/deployments/guarded/launch", deployer, json={"version": 2})
        assert refused.status_code == 403 and "may not manage registered_model guarded" in refused.text, refused.text
        refused = ask("POST", "/api/v1/deployments/guarded/launch", None, json={"version": 2})
        assert refused.status_code == 404, refused.text
    finally:
        server.stop()
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


def test_what_cannot_be_launched_says_why(server_url, binary):
    name = deploy(server_url, booster())
    register(server_url, name, add_sub(), alias="challenger")
    path = f"{server_url}/api/v1/deployments/{name}/launch"
    for body, status, words in (
        ({"alias": "challenger"}, 409, "one takes rows, the other takes tensors alone"),
        ({"alias": "champion"}, 400, "version 1 serves already"),
        ({"version": 77}, 404, "77"),
        ({}, 400, "either `alias` or `version`"),
        ({"alias": "challenger", "canary_shares": [0.5, 0.2]}, 400, "must grow"),
        ({"alias": "challenger", "canary": 1}, 400, "canary"),
    ):
        refused = requests.post(path, json=body, timeout=30)
        assert refused.status_code == status and words in refused.text, refused.text
    assert requests.get(path, timeout=10).status_code == 404
    said = subprocess.run(
        [str(binary), "--server", server_url, "launch", "show", name], capture_output=True, text=True, timeout=30, check=False
    )
    assert said.returncode == 1 and "has no launch" in said.stderr
