"""Models of XGBoost, logged by MLflow's own client, answer on the real binary what they answer in Python."""

from __future__ import annotations

import uuid

import mlflow
import mlflow.xgboost
import numpy
import pandas
import pytest
import requests
import xgboost

RANDOM = numpy.random.default_rng(7)
ROWS = 200


def made_frame() -> pandas.DataFrame:
    frame = pandas.DataFrame(
        {
            "delay": RANDOM.normal(size=ROWS).astype(numpy.float32),
            "carrier": pandas.Categorical(RANDOM.choice(["UA", "B6", "AA"], ROWS)),
            "month": pandas.Categorical(RANDOM.integers(1, 13, ROWS)),
        }
    )
    frame.loc[::9, "delay"] = numpy.nan
    frame.loc[::11, "carrier"] = None
    return frame


def answered(server_url: str, booster: object, rows: list[dict], model_format: str) -> list:
    """Logs the booster, gives it an alias, deploys it without a service, and asks."""
    mlflow.set_tracking_uri(server_url)
    mlflow.set_registry_uri(server_url)
    model = f"trees_{uuid.uuid4().hex[:8]}"
    with mlflow.start_run():
        mlflow.xgboost.log_model(booster, name="model", registered_model_name=model, model_format=model_format)
    mlflow.MlflowClient(server_url).set_registered_model_alias(model, "champion", "1")
    deployed = requests.put(f"{server_url}/api/v1/deployments/{model}", json={"model": model, "alias": "champion"}, timeout=60)
    assert deployed.ok, deployed.text
    answer = requests.post(f"{server_url}/api/v1/predict/{model}", json={"rows": rows}, timeout=60)
    assert answer.ok, answer.text
    return answer.json()["predictions"]


@pytest.mark.parametrize("model_format", ["ubj", "json", "xgb"])
def test_a_booster_with_categories_answers_what_it_answers_in_python(server_url: str, model_format: str) -> None:
    frame = made_frame()
    label = (frame["delay"].fillna(1) > 0) ^ (frame["carrier"] == "B6")
    matrix = xgboost.DMatrix(frame, label=label, enable_categorical=True)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 4}, matrix, 20)
    asked = frame.head(30)
    rows = [
        {name: None if pandas.isna(value) else (str(value) if name == "carrier" else float(value)) for name, value in row.items()}
        for row in asked.astype(object).to_dict("records")
    ]
    expected = booster.predict(xgboost.DMatrix(asked, enable_categorical=True))
    assert numpy.allclose(numpy.ravel(answered(server_url, booster, rows, model_format)), expected, rtol=1e-6, atol=0)


def test_a_classifier_that_was_stopped_early_answers_with_its_best_iteration(server_url: str) -> None:
    table = RANDOM.normal(size=(ROWS, 3))
    label = (table[:, 0] + RANDOM.normal(size=ROWS) > 0).astype(int)
    frame = pandas.DataFrame(table, columns=["a", "b", "c"])
    model = xgboost.XGBClassifier(n_estimators=80, max_depth=3, early_stopping_rounds=2)
    model.fit(frame[:100], label[:100], eval_set=[(frame[100:], label[100:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    got = numpy.ravel(answered(server_url, model, frame.head(20).to_dict("records"), "ubj"))
    assert numpy.allclose(got, model.predict_proba(frame.head(20))[:, 1], rtol=1e-6, atol=0)
