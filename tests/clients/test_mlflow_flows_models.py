"""What the flavours and autologging of the unmodified MLflow client do, against the real server."""

import mlflow
import numpy
import pandas
import pytest
import xgboost
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException, RestException
from mlflow.utils.autologging_utils import BatchMetricsLogger, MlflowAutologgingQueueingClient
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from test_mlflow import client, name  # noqa: F401  fixtures

COLUMNS = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def rows():
    values, classes = make_classification(n_samples=200, n_features=4, random_state=7)
    table = pandas.DataFrame(values, columns=COLUMNS)
    table["label"] = classes
    return table


@pytest.fixture
def classifier(rows):
    return LogisticRegression(C=0.5).fit(rows[COLUMNS], rows["label"])


def logs_classifier(classifier, rows, **options):
    """As skops, which needs no trust in the file beyond scikit-learn's own types."""
    return mlflow.sklearn.log_model(
        classifier, name="model", input_example=rows[COLUMNS].head(2), serialization_format="skops", pip_requirements=["scikit-learn"], **options
    )


def test_autologging_of_a_fit_of_scikit_learn(client, name, rows):
    experiment = mlflow.set_experiment(name)
    mlflow.sklearn.autolog(log_input_examples=True)
    try:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(rows[COLUMNS], rows["label"])
        (run,) = client.search_runs([experiment.experiment_id])
        accuracy = model.score(rows[COLUMNS], rows["label"])
    finally:
        mlflow.sklearn.autolog(disable=True)
    run = client.get_run(run.info.run_id)
    assert run.info.status == "FINISHED" and run.data.params["logisticregression__C"] == "0.5"
    assert run.data.metrics["training_accuracy_score"] == pytest.approx(accuracy)
    # What was scored after the fit belongs to the same run.
    assert [key for key in run.data.metrics if key.startswith("LogisticRegression_score") or key.startswith("Pipeline_score")]
    assert run.data.tags["estimator_name"] == "Pipeline"
    (dataset,) = run.inputs.dataset_inputs
    assert [(tag.key, tag.value) for tag in dataset.tags] == [("mlflow.data.context", "train")]
    (output,) = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert logged.status == LoggedModelStatus.READY and logged.source_run_id == run.info.run_id
    assert logged.params["logisticregression__C"] == "0.5"
    assert {metric.key for metric in logged.metrics} >= {"training_accuracy_score", "training_log_loss"}
    assert "training_confusion_matrix.png" in [file.path for file in client.list_artifacts(run.info.run_id)]


def test_autologging_of_a_grid_search_has_a_child_run_for_each_candidate(client, name, rows):
    experiment = mlflow.set_experiment(name)
    mlflow.sklearn.autolog(max_tuning_runs=3, log_models=False)
    try:
        search = GridSearchCV(DecisionTreeClassifier(random_state=7), {"max_depth": [1, 2, 3, 4]}, cv=2).fit(rows[COLUMNS], rows["label"])
    finally:
        mlflow.sklearn.autolog(disable=True)
    (parent,) = client.search_runs([experiment.experiment_id], "tags.mlflow.parentRunId IS NULL")
    children = client.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'", order_by=["metrics.mean_test_score DESC"])
    assert len(children) == 3 and {run.info.status for run in children} == {"FINISHED"}
    assert children[0].data.metrics["mean_test_score"] == pytest.approx(search.best_score_) == parent.data.metrics["best_cv_score"]
    assert parent.data.params["best_max_depth"] == str(search.best_params_["max_depth"])
    depths = {run.data.params["max_depth"]: run.data.metrics["mean_test_score"] for run in children}
    assert len(depths) == 3 and depths[parent.data.params["best_max_depth"]] == parent.data.metrics["best_cv_score"]
    table = pandas.read_csv(mlflow.artifacts.download_artifacts(f"runs:/{parent.info.run_id}/cv_results.csv"))
    assert len(table) == 4


def test_autologging_of_xgboost(client, name, rows):
    experiment = mlflow.set_experiment(name)
    mlflow.xgboost.autolog()
    try:
        data = xgboost.DMatrix(rows[COLUMNS], label=rows["label"])
        options = {"objective": "binary:logistic", "eval_metric": ["logloss", "error"], "max_depth": 2, "nthread": 1}
        booster = xgboost.train(options, data, num_boost_round=6, evals=[(data, "train")], early_stopping_rounds=5, verbose_eval=False)
    finally:
        mlflow.xgboost.autolog(disable=True)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["max_depth"] == "2" and run.data.params["num_boost_round"] == "6"
    for metric in ["train-logloss", "train-error"]:
        assert [point.step for point in client.get_metric_history(run.info.run_id, metric)][:6] == list(range(6))
    assert {"best_iteration", "stopped_iteration"} <= run.data.metrics.keys()
    assert {"feature_importance_weight.json", "feature_importance_weight.png"} <= {file.path for file in client.list_artifacts(run.info.run_id)}
    (output,) = run.outputs.model_outputs
    loaded = mlflow.xgboost.load_model(f"models:/{output.model_id}")
    numpy.testing.assert_allclose(loaded.predict(data), booster.predict(data))


def test_a_client_that_batches_and_queues_loses_nothing(client, server_url, name):
    """The calls of autologging of PyTorch Lightning, without PyTorch, whose package is half a gibibyte."""
    experiment_id = client.create_experiment(name)
    queue = MlflowAutologgingQueueingClient(server_url)
    run_id = client.create_run(experiment_id, run_name="fit").info.run_id
    queue.log_params(run_id, {f"p{number}": "v" * 600 for number in range(230)})
    queue.set_tags(run_id, {f"t{number}": "w" for number in range(230)})
    queue.log_metrics(run_id, {f"m{number}": number for number in range(2100)}, step=4)
    queue.flush(synchronous=False).await_completion()
    metrics = BatchMetricsLogger(run_id, server_url)
    for step in range(200):
        metrics.record_metrics({"train_loss": 1 / (step + 1), "lr": 0.1}, step)
    metrics.flush()
    queue.set_terminated(run_id, "FINISHED")
    queue.flush(synchronous=True)
    kept = client.get_run(run_id)
    assert kept.info.status == "FINISHED" and len(kept.data.params) == 230 and len(kept.data.metrics) == 2102
    assert len([key for key in kept.data.tags if key.startswith("t")]) == 230
    assert [point.step for point in client.get_metric_history(run_id, "train_loss")] == list(range(200))


def test_evaluation_of_a_classifier(client, name, rows, classifier):
    experiment = mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        info = logs_classifier(classifier, rows)
        dataset = mlflow.data.from_pandas(rows, name="judged", targets="label")
        result = mlflow.models.evaluate(info.model_uri, dataset, model_type="classifier", evaluator_config={"log_model_explainability": False})
    assert result.metrics["accuracy_score"] == pytest.approx(classifier.score(rows[COLUMNS], rows["label"]))
    kept = client.get_run(run.info.run_id)
    assert kept.data.metrics["accuracy_score"] == result.metrics["accuracy_score"] and "roc_auc" in kept.data.metrics
    assert {"confusion_matrix.png", "roc_curve_plot.png"} <= {file.path for file in client.list_artifacts(run.info.run_id)}
    assert "judged" in [entry.dataset.name for entry in kept.inputs.dataset_inputs]
    # The scores belong to the model on this data set.
    scores = {metric.key: metric for metric in client.get_logged_model(info.model_id).metrics}
    assert (scores["roc_auc"].dataset_name, scores["roc_auc"].value) == ("judged", result.metrics["roc_auc"])
    judged = [{"dataset_name": "judged", "dataset_digest": dataset.digest}]
    best = mlflow.search_logged_models([experiment.experiment_id], "metrics.roc_auc > 0.5", judged, output_format="list")
    assert [model.model_id for model in best] == [info.model_id]


def test_evaluation_of_a_registered_regressor_against_thresholds(client, name):
    values, targets = make_regression(n_samples=100, n_features=4, noise=5.0, random_state=7)
    table = pandas.DataFrame(values, columns=COLUMNS).assign(target=targets)
    mlflow.set_experiment(name)
    with mlflow.start_run():
        model = LinearRegression().fit(table[COLUMNS], table["target"])
        logs_classifier(model, table, registered_model_name=name)
    with mlflow.start_run() as run:
        result = mlflow.models.evaluate(
            f"models:/{name}/1", table, targets="target", model_type="regressor", evaluator_config={"log_model_explainability": False}
        )
    mlflow.validate_evaluation_results({"r2_score": mlflow.models.MetricThreshold(threshold=0.9, greater_is_better=True)}, result)
    kept = client.get_run(run.info.run_id)
    assert kept.data.metrics["r2_score"] == pytest.approx(model.score(table[COLUMNS], table["target"]))
    assert {"mean_squared_error", "max_error", "example_count"} <= kept.data.metrics.keys() and kept.inputs.dataset_inputs


def test_a_model_of_scikit_learn_is_loaded_by_alias_version_and_id(client, name, rows, classifier):
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        info = logs_classifier(classifier, rows, params={"C": 0.5}, tags={"kind": "linear"}, model_type="classifier", step=3)
    version = mlflow.register_model(info.model_uri, name, tags={"checked": "yes"})
    assert (int(version.version), version.status, version.tags) == (1, "READY", {"checked": "yes"})
    assert version.source == f"models:/{info.model_id}" and version.run_id == run.info.run_id
    client.set_registered_model_alias(name, "champion", "1")
    expected = classifier.predict(rows[COLUMNS])
    for uri in [f"models:/{name}@champion", f"models:/{name}/1", f"models:/{info.model_id}", f"models:/{name}/latest", f"runs:/{run.info.run_id}/model"]:
        numpy.testing.assert_array_equal(mlflow.sklearn.load_model(uri).predict(rows[COLUMNS]), expected)
        numpy.testing.assert_array_equal(mlflow.pyfunc.load_model(uri).predict(rows[COLUMNS]), expected)
    logged = mlflow.get_logged_model(info.model_id)
    assert (logged.params, logged.tags["kind"], logged.model_type) == ({"C": "0.5"}, "linear", "classifier")
    assert mlflow.last_logged_model().model_id == info.model_id
    assert client.get_run(run.info.run_id).outputs.model_outputs[0].step == 3
    signature = mlflow.models.get_model_info(f"models:/{name}@champion").signature
    assert signature.inputs.input_names() == COLUMNS
    with pytest.raises(RestException) as refused:
        mlflow.pyfunc.load_model(f"models:/{name}@nobody")
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    with pytest.raises(RestException) as refused:
        mlflow.pyfunc.load_model(f"models:/{name}/7")
    assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_model_that_knows_no_run_is_logged_and_finished(client, name, rows, classifier):
    experiment = mlflow.set_experiment(name)
    started = mlflow.initialize_logged_model(name="early", model_type="agent", params={"p": "1"})
    assert started.status == LoggedModelStatus.PENDING
    assert mlflow.finalize_logged_model(started.model_id, LoggedModelStatus.READY).status == LoggedModelStatus.READY
    external = mlflow.create_external_model(name="outside", tags={"where": "elsewhere"})
    found = mlflow.search_logged_models([experiment.experiment_id], order_by=[{"field_name": "creation_timestamp"}], output_format="list")
    assert [model.name for model in found] == ["early", "outside"] and found[1].model_id == external.model_id
    failed = mlflow.initialize_logged_model(name="broken")
    mlflow.finalize_logged_model(failed.model_id, LoggedModelStatus.FAILED)
    found = mlflow.search_logged_models([experiment.experiment_id], "status = 'LOGGED_MODEL_UPLOAD_FAILED'", output_format="list")
    assert [model.model_id for model in found] == [failed.model_id]


def test_versions_are_copied_and_searched_over_models(client, name, rows, classifier):
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        info = logs_classifier(classifier, rows, registered_model_name=name)
    client.set_model_version_tag(name, "1", "stage", "trial")
    copied = client.copy_model_version(f"models:/{name}/1", f"{name}_prod")
    again = client.copy_model_version(f"models:/{name}/1", f"{name}_prod")
    assert (int(copied.version), int(again.version)) == (1, 2) and copied.source == f"models:/{name}/1"
    numpy.testing.assert_array_equal(
        mlflow.sklearn.load_model(f"models:/{name}_prod/2").predict(rows[COLUMNS]), classifier.predict(rows[COLUMNS])
    )

    def versions(words: str) -> list[tuple[str, int]]:
        return [(version.name, int(version.version)) for version in client.search_model_versions(words, order_by=["name ASC", "version_number DESC"])]

    # A copy keeps the run and the tags of what it was copied from.
    all_three = [(name, 1), (f"{name}_prod", 2), (f"{name}_prod", 1)]
    assert versions(f"run_id = '{run.info.run_id}'") == all_three
    assert versions(f"name LIKE '{name}%' AND tags.stage = 'trial'") == all_three
    assert versions(f"name LIKE '{name}%' AND tag.`stage` != 'trial'") == []
    assert versions(f"source_path = 'models:/{info.model_id}'") == [(name, 1)]
    assert versions(f"name = '{name}_prod' and version_number > 1") == [(f"{name}_prod", 2)]
    pages, token = [], None
    for _ in range(2):
        page = client.search_registered_models(f"name LIKE '{name}%'", max_results=1, order_by=["name DESC"], page_token=token)
        pages += [model.name for model in page]
        token = page.token
    assert sorted(pages) == [name, f"{name}_prod"] and not token
    # What was copied outlives what it was copied from.
    client.delete_model_version(name, "1")
    with pytest.raises(MlflowException):
        client.get_model_version(name, "1")
    assert int(client.get_model_version(f"{name}_prod", "1").version) == 1


def test_a_model_is_registered_out_of_a_folder_of_its_run(client, name, rows, classifier, tmp_path):
    """The older way: a model saved as plain artifacts, registered by `runs:/`."""
    mlflow.set_experiment(name)
    mlflow.sklearn.save_model(classifier, str(tmp_path / "saved"), serialization_format="skops", pip_requirements=["scikit-learn"])
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path / "saved"), "older")
    client.create_registered_model(name, tags={"team": "ops"}, description="linear")
    source = f"{run.info.artifact_uri}/older"
    version = client.create_model_version(name, source, run.info.run_id, description="the first")
    assert (int(version.version), version.source, version.run_id) == (1, source, run.info.run_id)
    loaded = mlflow.sklearn.load_model(f"models:/{name}/1")
    numpy.testing.assert_array_equal(loaded.predict(rows[COLUMNS]), classifier.predict(rows[COLUMNS]))
    assert client.get_model_version_download_uri(name, "1") == source
