"""The unmodified MLflow client against the real server: what the main job of an ML engineer needs of it.

The fixture `server_url` gives the base URL of a running server with an empty data folder.
"""

import json
import math
import urllib.error
import urllib.request
import uuid

import lightgbm
import mlflow
import numpy
import pandas
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException

FEATURES = ["distance", "hour", "delay_avg"]


@pytest.fixture
def client(server_url):
    mlflow.set_tracking_uri(server_url)
    mlflow.set_registry_uri(server_url)
    yield MlflowClient(server_url)
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def name():
    """A name that no other test uses."""
    return f"test_{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def flights():
    random = numpy.random.default_rng(7)
    table = pandas.DataFrame(random.normal(size=(400, 3)), columns=FEATURES)
    table["late"] = (table["delay_avg"] + 0.3 * random.normal(size=400) > 0.5).astype(int)
    return table


@pytest.fixture(scope="module")
def booster(flights):
    data = lightgbm.Dataset(flights[FEATURES], label=flights["late"])
    return lightgbm.train({"objective": "binary", "verbose": -1, "num_leaves": 7}, data, num_boost_round=10)


def logs_booster(booster, flights, **options):
    return mlflow.lightgbm.log_model(booster, name="model", input_example=flights[FEATURES].head(2), **options)


def test_a_run_comes_back_with_all_that_was_logged(client, name):
    experiment = mlflow.set_experiment(name)
    with mlflow.start_run(run_name="static", tags={"team": "ops"}) as run:
        mlflow.log_param("rate", 0.1)
        mlflow.log_params({f"p{number}": number for number in range(120)})
        mlflow.log_metric("auc", 0.5, step=0)
        mlflow.log_metrics({"auc": 0.7, "loss": math.nan}, step=1)
        mlflow.set_tag("stage", "trial")
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"a": 1}, "config.json")
    kept = client.get_run(run.info.run_id)
    assert kept.info.experiment_id == experiment.experiment_id
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == "static"
    assert kept.data.params["rate"] == "0.1" and len(kept.data.params) == 121
    assert kept.data.metrics["auc"] == 0.7 and math.isnan(kept.data.metrics["loss"])
    assert kept.data.tags["team"] == "ops" and kept.data.tags["stage"] == "trial"
    assert [point.value for point in client.get_metric_history(run.info.run_id, "auc")] == [0.5, 0.7]
    assert sorted(file.path for file in client.list_artifacts(run.info.run_id)) == ["config.json", "notes"]
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/hello.txt") == "hello"
    assert mlflow.set_experiment(name).experiment_id == experiment.experiment_id


def test_a_param_never_changes(client, name):
    mlflow.set_experiment(name)
    with mlflow.start_run():
        mlflow.log_param("k", "1")
        mlflow.log_param("k", "1")
        with pytest.raises(MlflowException, match="Changing param values is not allowed"):
            mlflow.log_param("k", "2")


def test_a_data_set_is_an_input_of_its_run(client, name, flights):
    mlflow.set_experiment(name)
    dataset = mlflow.data.from_pandas(flights, name="autumn", targets="late")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="evaluation")
    (entry,) = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert entry.dataset.name == "autumn" and entry.dataset.digest == dataset.digest
    assert entry.tags[0].value == "evaluation"
    assert len(mlflow.search_runs(experiment_names=[name], filter_string="dataset.name = 'autumn'")) == 1
    assert len(mlflow.search_runs(experiment_names=[name], filter_string="dataset.name = 'spring'")) == 0


def test_searches_filter_order_and_page(client, name):
    experiment = mlflow.set_experiment(name)
    for number in range(7):
        with mlflow.start_run(run_name=f"run-{number}"):
            mlflow.log_metric("auc", number / 10)
            mlflow.log_param("kind", "even" if number % 2 == 0 else "Odd")
    ids = [experiment.experiment_id]
    found = client.search_runs(ids, "metrics.auc > 0.25 and params.kind LIKE 'e%'", order_by=["metrics.auc DESC"])
    assert [run.info.run_name for run in found] == ["run-6", "run-4"]
    table = mlflow.search_runs(ids, filter_string="params.kind ILIKE 'odd'", order_by=["metrics.auc"])
    assert list(table["metrics.auc"]) == [0.1, 0.3, 0.5]
    first = client.search_runs(ids, max_results=4)
    second = client.search_runs(ids, max_results=4, page_token=first.token)
    assert len(first) == 4 and len(second) == 3 and second.token is None
    for wrong in ["metrics.auc > 1 OR metrics.auc < 0", "colour = 'red'", "params.kind > 'a'"]:
        with pytest.raises(MlflowException):
            client.search_runs(ids, wrong)
    assert [one.name for one in client.search_experiments(filter_string=f"name = '{name}'")] == [name]


def test_a_deleted_experiment_comes_back(client, name):
    experiment_id = client.create_experiment(name, tags={"a": "b"})
    client.delete_experiment(experiment_id)
    assert client.get_experiment(experiment_id).lifecycle_stage == "deleted"
    client.restore_experiment(experiment_id)
    client.rename_experiment(experiment_id, f"{name}_2")
    assert client.get_experiment_by_name(f"{name}_2").tags["a"] == "b"
    assert client.get_experiment_by_name(name) is None
    with pytest.raises(RestException) as refused:
        client.create_experiment(f"{name}_2")
    assert refused.value.error_code == "RESOURCE_ALREADY_EXISTS"


def test_a_model_is_logged_registered_and_loaded_by_alias(client, name, flights, booster):
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        info = logs_booster(booster, flights, registered_model_name=name)
    assert int(info.registered_model_version) == 1
    version = client.get_model_version(name, "1")
    assert version.source == f"models:/{info.model_id}" and version.run_id == run.info.run_id
    assert client.get_run(run.info.run_id).outputs.model_outputs[0].model_id == info.model_id
    client.set_registered_model_alias(name, "trial", "1")
    assert client.get_model_version_by_alias(name, "trial").version == "1"
    expected = booster.predict(flights[FEATURES])
    for uri in [f"models:/{name}@trial", f"models:/{name}/1", f"models:/{info.model_id}"]:
        loaded = mlflow.lightgbm.load_model(uri)
        numpy.testing.assert_array_equal(loaded.predict(flights[FEATURES]), expected)
    scored = mlflow.pyfunc.load_model(f"models:/{name}@trial").predict(flights[FEATURES])
    numpy.testing.assert_array_equal(scored, expected)
    folder = mlflow.artifacts.download_artifacts(f"models:/{name}@trial")
    with open(f"{folder}/MLmodel") as file:
        assert "lightgbm" in file.read()


def test_scores_of_a_model_on_a_data_set_are_found(client, name, flights, booster):
    experiment = mlflow.set_experiment(name)
    dataset = mlflow.data.from_pandas(flights, name="autumn")
    with mlflow.start_run():
        info = logs_booster(booster, flights)
        mlflow.log_metrics({"auc": 0.71}, model_id=info.model_id, dataset=dataset)
        mlflow.log_metric("auc", 0.5, model_id=info.model_id)
    metrics = {metric.dataset_name: metric for metric in client.get_logged_model(info.model_id).metrics}
    assert metrics["autumn"].value == 0.71 and metrics["autumn"].dataset_digest == dataset.digest
    found = mlflow.search_logged_models(
        experiment_ids=[experiment.experiment_id],
        filter_string="metrics.auc > 0.7",
        datasets=[{"dataset_name": "autumn"}],
        order_by=[{"field_name": "metrics.auc", "ascending": False}],
        output_format="list",
    )
    assert [model.model_id for model in found] == [info.model_id]
    client.set_logged_model_tags(info.model_id, {"reviewed": "yes"})
    assert client.get_logged_model(info.model_id).tags["reviewed"] == "yes"
    client.delete_logged_model_tag(info.model_id, "reviewed")
    client.log_model_params(info.model_id, {"leaves": "7"})
    assert client.get_logged_model(info.model_id).params["leaves"] == "7"
    client.delete_logged_model(info.model_id)
    with pytest.raises(MlflowException):
        client.get_logged_model(info.model_id)


def test_registry_operations(client, name, flights, booster):
    mlflow.set_experiment(name)
    with mlflow.start_run():
        for _ in range(2):
            logs_booster(booster, flights, registered_model_name=name)
    client.update_registered_model(name, "delays of flights")
    client.set_registered_model_tag(name, "team", "ops")
    client.set_model_version_tag(name, "2", "checked", "yes")
    client.update_model_version(name, "2", "the second")
    client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_alias(name, "champion", "2")
    model = client.get_registered_model(name)
    assert model.aliases == {"champion": "2"} and model.description == "delays of flights"
    assert model.tags == {"team": "ops"}
    assert client.get_model_version(name, "2").tags["checked"] == "yes"
    versions = client.search_model_versions(f"name = '{name}'", order_by=["version_number ASC"])
    assert [int(version.version) for version in versions] == [1, 2]
    assert [one.name for one in client.search_registered_models(f"name = '{name}'")] == [name]
    client.transition_model_version_stage(name, "1", "Production")
    assert [one.version for one in client.get_latest_versions(name, ["Production"])] == ["1"]
    copied = client.copy_model_version(f"models:/{name}/2", f"{name}_copy")
    assert int(copied.version) == 1
    numpy.testing.assert_array_equal(
        mlflow.lightgbm.load_model(f"models:/{name}_copy/1").predict(flights[FEATURES]),
        booster.predict(flights[FEATURES]),
    )
    client.delete_registered_model_alias(name, "champion")
    with pytest.raises(MlflowException):
        client.get_model_version_by_alias(name, "champion")
    client.delete_model_version(name, "2")
    client.rename_registered_model(name, f"{name}_renamed")
    assert client.get_registered_model(f"{name}_renamed").name == f"{name}_renamed"
    client.delete_registered_model(f"{name}_renamed")
    with pytest.raises(RestException) as refused:
        client.get_registered_model(f"{name}_renamed")
    assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_autologging_of_lightgbm(client, name, flights):
    experiment = mlflow.set_experiment(name)
    mlflow.lightgbm.autolog(log_datasets=True)
    try:
        data = lightgbm.Dataset(flights[FEATURES], label=flights["late"])
        with mlflow.start_run():
            lightgbm.train({"objective": "binary", "verbose": -1}, data, num_boost_round=5, valid_sets=[data])
    finally:
        mlflow.lightgbm.autolog(disable=True)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["objective"] == "binary"
    assert len(client.get_metric_history(run.info.run_id, "training-binary_logloss")) == 5
    assert run.inputs.dataset_inputs and run.outputs.model_outputs


def apply_definitions(server_url, text):
    body = json.dumps({"files": [{"path": "gate.yaml", "text": text}]}).encode()
    request = urllib.request.Request(f"{server_url}/api/v1/definitions/apply", body, {"content-type": "application/json"})
    try:
        urllib.request.urlopen(request).close()
    except urllib.error.HTTPError as error:
        pytest.fail(f"the gate was not applied: {error.read().decode()}")


def test_the_client_shows_why_a_gate_refused(client, server_url, name, flights, booster):
    apply_definitions(
        server_url,
        f"""
kind: gate
name: {name}
model: {name}
alias: champion
require:
  - metric: auc
    dataset: autumn
    beats: holder
  - evaluation: own_artifact
""",
    )
    mlflow.set_experiment(name)
    dataset = mlflow.data.from_pandas(flights, name="autumn")
    for auc in [0.6, 0.7, 0.5]:
        with mlflow.start_run():
            info = logs_booster(booster, flights, registered_model_name=name)
            mlflow.log_metric("auc", auc, model_id=info.model_id, dataset=dataset)
    client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_alias(name, "champion", "2")
    with pytest.raises(RestException, match="does not beat version 2's 0.7") as refused:
        client.set_registered_model_alias(name, "champion", "3")
    assert refused.value.error_code == "PERMISSION_DENIED"
    assert client.get_model_version_by_alias(name, "champion").version == "2"
