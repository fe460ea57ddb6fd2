"""The scoring protocol of MLflow model servers: the forms of a data frame with plain requests, and SageMaker's own client."""

from __future__ import annotations

import json

import boto3
import botocore.exceptions
import lightgbm
import numpy
import pandas
import pytest
import requests
import xgboost
from botocore import UNSIGNED
from botocore.config import Config
from serving_models import add_sub, boosted, booster, deploy


@pytest.fixture(scope="module")
def trees() -> lightgbm.Booster:
    return booster()


@pytest.fixture(scope="module")
def frame() -> pandas.DataFrame:
    rows = numpy.random.default_rng(3).normal(size=(5, 3)).round(3)
    rows[2, 1] = numpy.nan
    return pandas.DataFrame(rows, columns=["a", "b", "c"])


@pytest.fixture(scope="module")
def endpoint(server_url: str, trees: lightgbm.Booster) -> str:
    return f"{server_url}/endpoints/{deploy(server_url, trees)}"


def plain(frame: pandas.DataFrame) -> pandas.DataFrame:
    """The frame with None for what is missing, as JSON has it."""
    return frame.astype(object).where(frame.notna(), None)


@pytest.mark.parametrize(
    "form",
    [
        lambda frame: {"dataframe_split": plain(frame).to_dict(orient="split")},
        lambda frame: {"dataframe_records": plain(frame).to_dict(orient="records")},
        lambda frame: {"instances": plain(frame).to_dict(orient="records")},
        lambda frame: {"instances": plain(frame).to_numpy().tolist()},
        lambda frame: {"inputs": plain(frame).to_dict(orient="list")},
        lambda frame: {"inputs": plain(frame[["a", "b", "c"]]).to_numpy().tolist(), "params": {}},
    ],
)
def test_every_form_is_answered_as_the_library_answers(endpoint, trees, frame, form):
    answer = requests.post(f"{endpoint}/invocations", json=form(frame), timeout=10)
    assert answer.ok, answer.text
    assert numpy.abs(numpy.array(answer.json()["predictions"]) - trees.predict(frame)).max() < 1e-12


def test_csv(endpoint, trees, frame):
    csv = frame[["c", "a", "b"]].to_csv(index=False)
    answer = requests.post(f"{endpoint}/invocations", data=csv, headers={"Content-Type": "text/csv; charset=utf-8"}, timeout=10)
    assert answer.ok, answer.text
    assert numpy.abs(numpy.array(answer.json()["predictions"]) - trees.predict(frame)).max() < 1e-12


def test_ping_and_version(endpoint):
    assert requests.get(f"{endpoint}/ping", timeout=10).status_code == 200
    assert requests.get(f"{endpoint}/health", timeout=10).status_code == 200
    assert requests.get(f"{endpoint}/version", timeout=10).text.startswith("3.")


def test_a_model_of_tensors_takes_nested_lists(server_url):
    name = deploy(server_url, add_sub())
    body = {"inputs": {"INPUT0": [[5] * 16], "INPUT1": [[2] * 16]}}
    answer = requests.post(f"{server_url}/endpoints/{name}/invocations", json=body, timeout=10)
    assert answer.json()["predictions"] == {"OUTPUT0": [[7] * 16], "OUTPUT1": [[3] * 16]}


def test_what_is_wrong_is_said_in_the_words_of_the_protocol(endpoint, server_url):
    for body, words in (
        ({"data": []}, "exactly one of dataframe_split"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1]]}}, "column `b`"),
        ({"inputs": [["x", 1, 2]]}, "expected a number"),
        ({"inputs": [[1, 2]]}, "a row has 2 values, expected 3: a, b, c"),
        ({"inputs": [[1, 2, 3]], "params": {"temperature": 1}}, "temperature"),
        ({"inputs": []}, "1 to 1024 rows"),
    ):
        answer = requests.post(f"{endpoint}/invocations", json=body, timeout=10)
        assert answer.status_code == 400 and answer.json()["error_code"] == "BAD_REQUEST", answer.text
        assert words in answer.json()["message"], answer.text
    deep = "[" * 5000
    answer = requests.post(f"{endpoint}/invocations", data=deep, headers={"Content-Type": "application/json"}, timeout=10)
    assert answer.status_code == 400
    parquet = requests.post(f"{endpoint}/invocations", data=b"PAR1", headers={"Content-Type": "application/x-parquet"}, timeout=10)
    assert parquet.status_code == 400 and "text/csv" in parquet.json()["message"]
    unknown = requests.post(f"{server_url}/endpoints/nothing/invocations", json={"inputs": []}, timeout=10)
    assert unknown.status_code == 404 and unknown.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_the_runtime_client_of_sagemaker_changes_its_url_only(server_url, endpoint, trees, frame):
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=server_url,
        region_name="eu-central-1",
        config=Config(signature_version=UNSIGNED, retries={"max_attempts": 0}),
    )
    name = endpoint.rsplit("/", 1)[1]
    body = json.dumps({"inputs": plain(frame).to_numpy().tolist()})
    answer = client.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=body)
    predictions = json.loads(answer["Body"].read())["predictions"]
    assert numpy.abs(numpy.array(predictions) - trees.predict(frame)).max() < 1e-12
    with pytest.raises(botocore.exceptions.ClientError, match="404"):
        client.invoke_endpoint(EndpointName="nothing", ContentType="application/json", Body=body)


@pytest.mark.parametrize("classes", [2, 3])
def test_xgboost_answers_as_its_library_and_is_explained_as_it_explains(server_url, classes):
    model, rows = boosted(classes)
    name = deploy(server_url, model)
    matrix = xgboost.DMatrix(rows, feature_names=["a", "b", "c"])
    plain_rows = [{column: None if value != value else float(value) for column, value in zip("abc", row)} for row in rows]
    answer = requests.post(f"{server_url}/api/v1/predict/{name}", json={"rows": plain_rows}, timeout=10)
    assert answer.ok, answer.text
    assert numpy.abs(numpy.array(answer.json()["predictions"]) - model.predict(matrix)).max() < 1e-6
    explained = requests.post(f"{server_url}/api/v1/explain/{name}", json={"rows": plain_rows}, timeout=10)
    assert explained.ok, explained.text
    expected = model.predict(matrix, pred_contribs=True).reshape(len(rows), -1, 4)
    for row, wanted in zip(explained.json()["rows"], expected, strict=True):
        for score, line in zip(row, wanted, strict=True):
            got = [*(score["contributions"][column] for column in "abc"), score["base"]]
            assert numpy.abs(numpy.array(got) - line).max() < 1e-5
    leaves = requests.post(f"{server_url}/api/v1/explain/{name}", json={"rows": plain_rows, "output": "leaf_index"}, timeout=10)
    assert (numpy.array(leaves.json()["rows"]) == model.predict(matrix, pred_leaf=True).reshape(len(rows), -1)).all()


def test_lightgbm_is_explained_as_it_explains(server_url, endpoint, trees, frame):
    name = endpoint.rsplit("/", 1)[1]
    rows = plain(frame).to_dict(orient="records")
    explained = requests.post(f"{server_url}/api/v1/explain/{name}", json={"rows": rows}, timeout=10).json()["rows"]
    expected = trees.predict(frame, pred_contrib=True)
    for [score], wanted in zip(explained, expected, strict=True):
        got = [*(score["contributions"][column] for column in "abc"), score["base"]]
        assert numpy.abs(numpy.array(got) - wanted).max() < 1e-9
