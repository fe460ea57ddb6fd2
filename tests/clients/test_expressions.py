"""Expressions end to end on the real binary: one meaning from event to prediction, and the proof of what was served."""

from __future__ import annotations

import datetime
import uuid
from typing import NamedTuple

import lightgbm
import mlflow
import numpy
import pandas
import pyarrow as pa
import pytest
import requests

DEFINITIONS = """\
kind: entity
name: expr_user
keys: {{ user_id: text }}
---
kind: source
name: expr_purchases_{suffix}
event_time: bought_at
event_id: purchase_id
columns: {{ purchase_id: text, bought_at: timestamp, user_id: text, amount: float, items: int }}
---
kind: view
name: expr_spending_{suffix}
entity: expr_user
source: expr_purchases_{suffix}
where: "amount > 0"
derive:
  each: "amount / items"
  large: "each >= 10 OR items > 5"
aggregate:
  - {{ operations: [count], windows: [7d] }}
  - {{ column: each, operations: [avg], windows: [7d] }}
  - {{ operations: [count], windows: [7d], by: large }}
---
kind: view
name: expr_last_{suffix}
entity: expr_user
source: expr_purchases_{suffix}
latest: [bought_at]
---
kind: service
name: expr_fraud_{suffix}
views: ["expr_spending_{suffix}:count_7d", "expr_spending_{suffix}:each_avg_7d", "expr_last_{suffix}"]
request: {{ basket_value: float }}
compute:
  to_usual: "basket_value / expr_spending_{suffix}__each_avg_7d"
  minutes_since: "EXTRACT(epoch FROM at - expr_last_{suffix}__bought_at) / 60"
"""

NOW = datetime.datetime.now(datetime.timezone.utc)
BOUGHT_AT = NOW - datetime.timedelta(minutes=10)


class Shop(NamedTuple):
    """The names of one run of these tests, and the token behind its events."""

    suffix: str
    token: str

    @property
    def service(self) -> str:
        return f"expr_fraud_{self.suffix}"

    def feature(self, of: str) -> str:
        view, feature = of.split(":")
        return f"expr_{view}_{self.suffix}__{feature}"


@pytest.fixture(scope="module")
def shop(server_url: str) -> Shop:
    suffix = uuid.uuid4().hex[:8]
    apply(server_url, DEFINITIONS.format(suffix=suffix))
    lines = "".join(
        f'{{"purchase_id":"{name}","bought_at":"{BOUGHT_AT.isoformat()}",'
        f'"user_id":"ada","amount":{amount},"items":{items}}}\n'
        for name, amount, items in [("a", 12, 2), ("b", 30, 3), ("refund", -7, 1), ("broken", 5, 0)]
    )
    answer = requests.post(
        f"{server_url}/api/v1/ingest/expr_purchases_{suffix}",
        data=lines,
        headers={"content-type": "application/x-ndjson"},
        timeout=60,
    )
    assert answer.ok, answer.text
    return Shop(suffix, answer.json()["token"])


def apply(server_url: str, text: str) -> None:
    files = [{"path": "expressions.yaml", "text": text}]
    response = requests.post(f"{server_url}/api/v1/definitions/apply", json={"files": files}, timeout=60)
    assert response.ok, response.text


def read(server_url: str, shop: Shop) -> dict[str, object]:
    rows = [{"user_id": "ada", "basket_value": 16.0}]
    body = {"service": shop.service, "rows": rows, "token": shop.token, "at": NOW.isoformat()}
    answer = requests.post(f"{server_url}/api/v1/features/read", json=body, timeout=60)
    assert answer.ok, answer.text
    return dict(zip(answer.json()["columns"], answer.json()["rows"][0]["values"]))


def test_conditions_derived_and_computed_columns_are_read(server_url: str, shop: Shop) -> None:
    values = read(server_url, shop)
    bought_at = values.pop(shop.feature("last:bought_at"))
    assert datetime.datetime.fromisoformat(str(bought_at)) == BOUGHT_AT
    assert values == {
        shop.feature("spending:count_7d"): 3,
        shop.feature("spending:each_avg_7d"): 8.0,
        "basket_value": 16.0,
        "to_usual": 2.0,
        "minutes_since": 10.0,
    }


def test_a_training_set_has_the_same_columns_and_values(server_url: str, shop: Shop) -> None:
    moment = f"to_timestamp_micros({round(NOW.timestamp() * 1_000_000)})"
    spine = f"SELECT 'ada' AS user_id, 16.0 AS basket_value, {moment} AS asked_at"
    body = {"service": shop.service, "spine": {"sql": spine}, "time": "asked_at"}
    answer = requests.post(f"{server_url}/api/v1/training-sets", json=body, timeout=60)
    assert answer.ok, answer.text
    [row] = pa.ipc.open_stream(answer.content).read_all().to_pylist()
    served = read(server_url, shop)
    assert set(row) == {"user_id", "asked_at", *served}
    assert list(row)[-2:] == ["to_usual", "minutes_since"]
    trained = {name: row[name] for name in served if not name.endswith("bought_at")}
    assert trained == {name: value for name, value in served.items() if not name.endswith("bought_at")}


def test_an_expression_that_does_not_hold_is_refused_with_its_place(server_url: str, shop: Shop) -> None:
    text = DEFINITIONS.format(suffix=shop.suffix).replace("amount > 0", "amout > 0")
    files = [{"path": "expressions.yaml", "text": text}]
    answer = requests.post(f"{server_url}/api/v1/definitions/plan", json={"files": files}, timeout=60)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["message"].endswith("where: column amout does not exist here (at character 1)")
    assert (error["line"], error["hint"]) == (15, "did you mean amount?")


def test_predictions_take_computed_columns_and_their_replay_gives_the_same_bits(server_url: str, shop: Shop) -> None:
    columns = [name for name in read(server_url, shop) if not name.endswith("bought_at")]
    random = numpy.random.default_rng(7)
    table = pandas.DataFrame(random.normal(size=(300, len(columns))), columns=columns)
    data = lightgbm.Dataset(table, label=(table["to_usual"] > 0).astype(int))
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_leaves": 4}, data, num_boost_round=5)
    mlflow.set_tracking_uri(server_url)
    mlflow.set_registry_uri(server_url)
    model = f"expr_{shop.suffix}"
    with mlflow.start_run():
        mlflow.lightgbm.log_model(booster, name="model", registered_model_name=model)
    mlflow.MlflowClient(server_url).set_registered_model_alias(model, "champion", "1")
    deployment = f"{server_url}/api/v1/deployments/{model}"
    wanted = {"model": model, "alias": "champion", "service": shop.service}
    deployed = requests.put(deployment, json=wanted, timeout=60)
    assert deployed.ok, deployed.text
    rows = [{"user_id": "ada", "basket_value": 16.0}, {"user_id": "nobody", "basket_value": 1.0}]
    asked = {"rows": rows, "token": shop.token}
    answer = requests.post(f"{server_url}/api/v1/predict/{model}", json=asked, timeout=60)
    assert answer.ok, answer.text
    proof = requests.post(f"{server_url}/api/v1/verify", json={"deployment": model}, timeout=60)
    assert proof.ok, proof.text
    assert (proof.json()["compared"], proof.json()["differing"]) == (2, 0)
    assert proof.json()["views"][shop.service] == {"compared": 4, "differing": 0}
