"""The server that every example and test of the SDK talks to: a small shop, with history and a deployed model."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from real_binary import ROOT, Server, allowed_folder, binary, data_dir, server, server_url  # noqa: E402, F401

import shipway  # noqa: E402
from shipway import Aggregate, frames  # noqa: E402
from shipway.operations import max, sum  # noqa: E402

EVENTS = [
    {"purchase_id": "p0", "bought_at": "2026-01-05T10:00:00Z", "user_id": "ada", "amount": 3.0},
    {"purchase_id": "p1", "bought_at": "2026-01-05T10:30:00Z", "user_id": "ada", "amount": 12.5},
]
ASKED = [
    {"user_id": "ada", "asked_at": "2026-01-05T10:45:00Z", "basket_size": 2, "label": 0},
    {"user_id": "eve", "asked_at": "2026-01-05T10:45:00Z", "basket_size": 9, "label": 1},
]


def shop() -> shipway.Definitions:
    """The definitions; the events of the examples are at fixed moments, so they are kept for long."""
    user = shipway.Entity("user", keys={"user_id": "text"})
    purchases = shipway.Source(
        "purchases",
        columns={"purchase_id": "text", "bought_at": "timestamp", "user_id": "text", "amount": "float"},
        event_time="bought_at",
        event_id="purchase_id",
        retention="36500d",
    )
    spending = shipway.View(
        "user_spending",
        entity=user,
        source=purchases,
        aggregate=[
            Aggregate(operations=["count"], windows=["1h", "7d"]),
            Aggregate("amount", operations=[sum, max], windows=["1h", "7d"]),
        ],
        freshness=shipway.Freshness("1h"),
    )
    return shipway.Definitions(
        user, purchases, spending, shipway.Service("fraud", views=[spending], request={"basket_size": "int"})
    )


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[shipway.Client]:  # noqa: F811
    with shipway.Client(server.url) as found:
        found.apply(shop())
        pushed = found.push("purchases", EVENTS)
        assert not pushed.refused
        found.read("fraud", {"user_id": "ada", "basket_size": 1}, token=pushed.token)

        found.load("asked", frames.rows_to_table(ASKED, "asked_at"))
        yield found


@pytest.fixture(scope="session")
def deployed(server: Server, client: shipway.Client) -> shipway.Client:  # noqa: F811
    """A tiny model behind `fraud`, trained on a training set and logged by the unmodified MLflow client."""
    import lightgbm
    import mlflow

    training = client.training_set("fraud", "asked", time="asked_at")
    frame = training.to_pandas()
    columns = client.read("fraud", {"user_id": "ada", "basket_size": 1}).columns
    frame = frame.loc[frame.index.repeat(20)]
    data = lightgbm.Dataset(frame[columns].astype(float), label=frame["label"])
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "min_data_in_leaf": 1}, data, num_boost_round=3)
    mlflow.set_tracking_uri(server.url)
    for _ in ("champion", "challenger"):
        with mlflow.start_run():
            mlflow.lightgbm.log_model(booster, name="model", registered_model_name="fraud")
    registry = mlflow.MlflowClient()
    registry.set_model_version_tag("fraud", "1", "shipway.service_hash", training.service_hash)
    registry.set_registered_model_alias("fraud", "champion", "1")
    registry.set_registered_model_alias("fraud", "challenger", "2")
    client.deploy("fraud", model="fraud", service="fraud")
    client.predict("fraud", [{"user_id": "ada", "basket_size": 3}])
    return client


@pytest.fixture(autouse=True, scope="session")
def _environment(server_url: str) -> Iterator[None]:  # noqa: F811
    """What a user's shell has: SHIPWAY_SERVER."""
    before = os.environ.get("SHIPWAY_SERVER")
    os.environ["SHIPWAY_SERVER"] = server_url
    yield
    if before is None:
        del os.environ["SHIPWAY_SERVER"]
    else:
        os.environ["SHIPWAY_SERVER"] = before


@pytest.fixture(autouse=True)
def _examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    """Examples find the shop on the server and, in the client's own, a client of that name."""
    if request.node.__class__.__name__ == "DoctestItem":
        doctest_namespace["client"] = request.getfixturevalue("deployed")
        doctest_namespace["shipway"] = shipway
        doctest_namespace["allowed_folder"] = request.getfixturevalue("allowed_folder")
