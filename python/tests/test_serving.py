"""Predictions with features that the caller gives, settings of deployments, and labels that come later."""

from __future__ import annotations

import datetime

import pytest
import requests

from shipway.errors import Refused


def test_a_feature_may_be_given_and_labels_join_their_predictions(deployed):
    asked = {"user_id": "ada", "basket_size": 3}
    given = deployed.predict("fraud", [asked, {**asked, "user_spending__count_7d": 1000}])
    assert len(given) == 2
    assert deployed.verify("fraud").equal, "the log keeps what was read"
    labels = [
        {"request_id": given.request_id, "row": 0, "label": True, "at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)},
        {"request_id": given.request_id, "row": 1, "label": 0.5},
    ]
    assert deployed.label("fraud", labels) == 2
    joined = deployed.sql(
        f"SELECT p.row, l.label FROM predictions__fraud p JOIN labels__fraud l USING (request_id, row) "
        f"WHERE p.request_id = '{given.request_id}' ORDER BY p.row"
    )
    assert joined.to_pydict() == {"row": [0, 1], "label": [1.0, 0.5]}
    with pytest.raises(Refused, match="comes twice"):
        deployed.label("fraud", labels[:1] * 2)


def test_settings_of_a_deployment(deployed, server_url):
    made = deployed.deploy("fraud_batched", model="fraud", service="fraud", batching={"max_rows": 8}, queue={"max_requests": 5})
    assert made["batching"] == {"max_rows": 8, "max_delay_us": 0, "instances": 1}
    assert made["queue"] == {"max_requests": 5, "timeout_ms": 10000}
    with pytest.raises(Refused, match="batching.max_rows must be 1 to 65536"):
        deployed.deploy("fraud_batched", model="fraud", batching={"max_rows": 0})
    assert requests.delete(f"{server_url}/api/v1/deployments/fraud_batched", timeout=10).status_code == 204


def test_an_ensemble_asks_models_and_deployments(deployed, server_url):
    columns = deployed.read("fraud", {"user_id": "ada", "basket_size": 1}).columns
    graph = {
        "inputs": {column: "float" for column in columns},
        "steps": [
            {"name": "score", "model": "models:/fraud@challenger"},
            {"name": "judged", "compute": {"verdict": "CASE WHEN score > 0.5 THEN 'hold' ELSE 'pass' END"}},
        ],
        "outputs": {"score": "score", "verdict": "verdict"},
    }
    made = deployed.deploy("fraud_judged", ensemble=graph, service="fraud")
    assert made["ready"] and made["models"][0]["version"] == 2
    rows = [{"user_id": "ada", "basket_size": 3}, {"user_id": "nobody", "basket_size": 1}]
    alone, judged = deployed.predict("fraud", rows), deployed.predict("fraud_judged", rows)
    assert [row["score"] for row in judged] == alone.predictions
    assert [row["verdict"] for row in judged] == ["hold" if score > 0.5 else "pass" for score in alone]
    assert deployed.verify("fraud_judged").equal, "what was read is in the log"

    ids = {
        "inputs": {"user_id": "text", "basket_size": "int"},
        "steps": [{"name": "asked", "model": "fraud"}, {"name": "half", "compute": {"halved": "asked / 2"}}],
        "outputs": {"halved": "halved"},
    }
    deployed.deploy("fraud_halved", ensemble=ids)
    halved = deployed.predict("fraud_halved", rows)
    assert [row["halved"] for row in halved] == [score / 2 for score in alone]
    with pytest.raises(Refused, match="step `asked`: input `user_id` takes text; column `user_id` is int"):
        deployed.deploy("fraud_halved", ensemble={**ids, "inputs": {"user_id": "int", "basket_size": "int"}})
    for name in ("fraud_judged", "fraud_halved"):
        assert requests.delete(f"{server_url}/api/v1/deployments/{name}", timeout=10).status_code == 204
