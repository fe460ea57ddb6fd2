"""Workspaces with the unmodified MLflow client: made, used and left, each with names, models, traces and prompts of its own."""

import json
import uuid

import mlflow
import pandas as pd
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException
from serving_models import booster
from sklearn.linear_model import LogisticRegression


@pytest.fixture()
def client(server, monkeypatch):
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    yield MlflowClient(tracking_uri=server.url, registry_uri=server.url)
    mlflow.set_workspace(None)
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


@pytest.fixture()
def teams(client):
    """Two workspaces of nobody else."""
    mark = uuid.uuid4().hex[:8]
    names = [f"{team}-{mark}" for team in ("red", "blue")]
    for name in names:
        mlflow.create_workspace(name, description=f"of {name}")
    yield names
    mlflow.set_workspace(None)
    for name in names:
        if name in [one.name for one in mlflow.list_workspaces()]:
            mlflow.delete_workspace(name, mode="CASCADE")


def refused(call, code):
    with pytest.raises((MlflowException, RestException)) as caught:
        call()
    assert caught.value.error_code == code, caught.value


def train_and_register(name, rate):
    """A run with a metric and a model that is registered and gets an alias; the run, and what the model says."""
    mlflow.set_experiment("flights")
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    model = LogisticRegression(C=rate).fit(frame, [0, 0, 1, 1])
    with mlflow.start_run(run_name=name) as run:
        mlflow.log_metric("auc", rate)
        mlflow.log_param("rate", rate)
        mlflow.log_text("hello", "notes/hello.txt")
        logged = mlflow.sklearn.log_model(model, name="model", registered_model_name=name)
    MlflowClient().set_registered_model_alias(name, "champion", 1)
    return run.info, logged, frame, model.predict_proba(frame)


def test_workspaces_are_made_shown_changed_and_deleted(client, teams):
    red, blue = teams
    assert {"default", red, blue} <= {one.name for one in client.list_workspaces()}
    assert client.get_workspace(red).description == f"of {red}"
    changed = mlflow.update_workspace(red, description="changed", default_artifact_root="mlflow-artifacts:/shelf")
    assert (changed.description, changed.default_artifact_root) == ("changed", "mlflow-artifacts:/shelf")
    refused(lambda: mlflow.create_workspace(red), "RESOURCE_ALREADY_EXISTS")
    refused(lambda: mlflow.create_workspace("Not A Name"), "INVALID_PARAMETER_VALUE")
    refused(lambda: mlflow.create_workspace("default"), "INVALID_PARAMETER_VALUE")
    refused(lambda: mlflow.delete_workspace("default"), "INVALID_PARAMETER_VALUE")
    refused(lambda: mlflow.get_workspace("nobody-has-it"), "RESOURCE_DOES_NOT_EXIST")
    mlflow.set_workspace(red)
    experiment = mlflow.set_experiment("shelved")
    assert experiment.artifact_location == f"mlflow-artifacts:/shelf/{experiment.experiment_id}"
    mlflow.set_workspace(None)
    refused(lambda: mlflow.delete_workspace(red), "INVALID_STATE")
    mlflow.delete_workspace(blue)
    assert blue not in [one.name for one in mlflow.list_workspaces()]


def test_one_name_is_two_models_in_two_workspaces(client, teams):
    red, blue = teams
    made = {}
    for team, rate in ((red, 0.1), (blue, 10.0)):
        mlflow.set_workspace(team)
        made[team] = train_and_register("churn", rate)
    for team, other in ((red, blue), (blue, red)):
        mlflow.set_workspace(team)
        here = MlflowClient()
        run, logged, frame, said = made[team]
        other_run, other_logged, _, _ = made[other]

        assert str(here.get_run(run.run_id).data.metrics["auc"]) == here.get_run(run.run_id).data.params["rate"]
        assert [one.name for one in here.search_experiments()] == ["flights"]
        found = mlflow.search_runs(search_all_experiments=True)
        assert list(found["run_id"]) == [run.run_id]
        assert f"workspaces/{team}/" in run.artifact_uri
        assert mlflow.artifacts.load_text(f"{run.artifact_uri}/notes/hello.txt") == "hello"
        assert [one.path for one in here.list_artifacts(run.run_id)] == ["notes"]

        assert [one.name for one in here.search_registered_models()] == ["churn"]
        assert [one.name for one in here.search_registered_models("name = 'churn'")] == ["churn"]
        assert [one.version for one in here.search_model_versions("name = 'churn'")] == ["1"]
        version = here.get_model_version_by_alias("churn", "champion")
        assert (version.name, version.run_id, version.source) == ("churn", run.run_id, f"models:/{logged.model_id}")
        loaded = mlflow.sklearn.load_model("models:/churn@champion")
        assert (loaded.predict_proba(frame) == said).all()
        listed = json.loads(here.get_logged_model(logged.model_id).tags["mlflow.modelVersions"])
        assert {one["name"] for one in listed} == {"churn"}

        refused(lambda: here.get_run(other_run.run_id), "RESOURCE_DOES_NOT_EXIST")  # noqa: B023
        refused(lambda: here.log_metric(other_run.run_id, "auc", 1.0), "RESOURCE_DOES_NOT_EXIST")  # noqa: B023
        refused(lambda: here.get_experiment(other_run.experiment_id), "RESOURCE_DOES_NOT_EXIST")  # noqa: B023
        refused(lambda: here.get_logged_model(other_logged.model_id), "RESOURCE_DOES_NOT_EXIST")  # noqa: B023
        refused(lambda: here.get_registered_model(f"{other}/churn"), "RESOURCE_DOES_NOT_EXIST")  # noqa: B023
        with pytest.raises((MlflowException, requests.HTTPError)):
            mlflow.artifacts.load_text(f"{other_run.artifact_uri}/notes/hello.txt")
        assert here.search_runs([other_run.experiment_id]) == []
    mlflow.set_workspace(None)
    assert MlflowClient().search_registered_models("name = 'churn'") == []


def test_a_version_is_copied_within_its_workspace(client, teams):
    mlflow.set_workspace(teams[0])
    train_and_register("churn", 0.5)
    copied = MlflowClient().copy_model_version("models:/churn/1", "churn-live")
    assert (copied.name, copied.version) == ("churn-live", "1")
    MlflowClient().rename_registered_model("churn-live", "churn-next")
    assert sorted(one.name for one in MlflowClient().search_registered_models()) == ["churn", "churn-next"]


def test_a_model_of_a_workspace_is_deployed_and_launched(client, teams, server):
    mlflow.set_workspace(teams[0])
    mlflow.set_experiment("flights")
    for alias in ("champion", "challenger"):
        with mlflow.start_run():
            info = mlflow.lightgbm.log_model(booster(), name="model", registered_model_name="late", pip_requirements=["numpy"])
        MlflowClient().set_registered_model_alias("late", alias, info.registered_model_version)
    name = f"late_{teams[0].replace('-', '_')}"
    deployment = f"{server.url}/api/v1/deployments/{name}"
    try:
        made = requests.put(deployment, json={"model": f"{teams[0]}/late", "alias": "champion"}, timeout=30)
        assert made.ok and made.json()["serves"]["version"] == 1, made.text
        assert requests.put(f"{deployment}_2", json={"model": f"{teams[1]}/late", "alias": "champion"}, timeout=30).status_code == 404
        body = {"rows": [{"a": 1.0, "b": 0.5, "c": None}]}
        answer = requests.post(f"{server.url}/api/v1/predict/{name}", json=body, timeout=30)
        assert answer.ok and answer.json()["model"] == f"{teams[0]}/late", answer.text
        begun = requests.post(f"{deployment}/launch", json={"alias": "challenger", "canary_shares": []}, timeout=30)
        assert begun.status_code == 201, begun.text
        ended = requests.post(f"{deployment}/launch/advance", timeout=30)
        assert ended.json()["stage"] == "full", ended.text
        assert requests.post(f"{server.url}/api/v1/predict/{name}", json=body, timeout=30).json()["version"] == 2
        assert MlflowClient().get_model_version_by_alias("late", "champion").version == "2"
    finally:
        requests.delete(deployment, timeout=30)


def test_traces_and_prompts_stay_in_their_workspace(client, teams):
    ids = {}
    for team in teams:
        mlflow.set_workspace(team)
        experiment = mlflow.set_experiment("agents")

        @mlflow.trace(name="answer")
        def answer(question):
            return question.upper()

        answer(f"hello {team}")  # noqa: B023
        ids[team] = (experiment.experiment_id, mlflow.get_last_active_trace_id())
        prompt = mlflow.genai.register_prompt("greet", template=f"Hello {{{{name}}}} of {team}")
        mlflow.genai.set_prompt_alias("greet", alias="live", version=prompt.version)
    for team, other in (teams, teams[::-1]):
        mlflow.set_workspace(team)
        experiment_id, trace_id = ids[team]
        traces = mlflow.search_traces(locations=[experiment_id], return_type="list")
        assert [one.info.trace_id for one in traces] == [trace_id]
        assert mlflow.get_trace(trace_id).data.spans[0].outputs == f"HELLO {team.upper()}"
        assert mlflow.genai.load_prompt("prompts:/greet@live").template == f"Hello {{{{name}}}} of {team}"
        mlflow.set_trace_tag(trace_id, "seen", "yes")
        refused(lambda: mlflow.set_trace_tag(ids[other][1], "seen", "yes"), "RESOURCE_DOES_NOT_EXIST")  # noqa: B023
        assert mlflow.search_traces(locations=[ids[other][0]], return_type="list") == []


def test_an_unknown_workspace_is_refused_by_every_call(client):
    mlflow.set_workspace("nobody-has-it")
    refused(lambda: mlflow.search_experiments(), "RESOURCE_DOES_NOT_EXIST")
    refused(lambda: MlflowClient().create_registered_model("churn"), "RESOURCE_DOES_NOT_EXIST")
    refused(lambda: mlflow.set_workspace("Not A Name"), "INVALID_PARAMETER_VALUE")


def test_what_a_workspace_holds_moves_to_default(client, teams, server):
    red = teams[0]
    name = f"moved-{red}"
    mlflow.set_workspace(red)
    run, _, frame, said = train_and_register(name, 2.0)
    MlflowClient().rename_experiment(run.experiment_id, name)
    mlflow.set_workspace(None)
    shown = requests.get(f"{server.url}/api/v1/models/{red}%2F{name}", timeout=10).json()
    assert (shown["name"], shown["aliases"]) == (f"{red}/{name}", {"champion": 1})
    mlflow.delete_workspace(red, mode="SET_DEFAULT")
    loaded = mlflow.sklearn.load_model(f"models:/{name}@champion")
    assert (loaded.predict_proba(frame) == said).all()
    assert mlflow.get_experiment_by_name(name).experiment_id == run.experiment_id
