"""Feast's Python client, unmodified, with Shipway as its remote online store.

The feature repository has a local registry; its feature views, feature service and push source have the names of Shipway's
views, service and source.
"""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass
from pathlib import Path

import feast.errors
import pandas
import pytest
import requests
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig, ValueType
from feast.data_source import PushMode
from feast.infra.online_stores.remote import RemoteOnlineStoreConfig
from feast.types import Float64, Int64, String

UTC = datetime.timezone.utc
DEFINITIONS = """\
kind: entity
name: feast_shop
keys: {{ shop_id: int }}
---
kind: source
name: sales_{suffix}
event_time: sold_at
event_id: sale_id
columns: {{ sale_id: text, sold_at: timestamp, shop_id: int, amount: float, product: text }}
---
kind: view
name: shop_sales_{suffix}
entity: feast_shop
source: sales_{suffix}
aggregate:
  - operations: [count]
    windows: [1h]
  - column: amount
    operations: [sum, avg]
    windows: [1h, 1d]
---
kind: view
name: shop_last_{suffix}
entity: feast_shop
source: sales_{suffix}
latest: [amount, product]
ttl: 1h
---
kind: service
name: offers_{suffix}
views: [shop_sales_{suffix}, shop_last_{suffix}]
"""


@dataclass
class Repository:
    store: FeatureStore
    url: str
    sales: str
    last: str
    source: str
    service: str


@pytest.fixture(scope="module")
def repository(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    suffix = uuid.uuid4().hex[:8]
    files = [{"path": "feast.yaml", "text": DEFINITIONS.format(suffix=suffix)}]
    response = requests.post(f"{server_url}/api/v1/definitions/apply", json={"files": files}, timeout=60)
    assert response.ok, response.text
    folder = tmp_path_factory.mktemp("feature_repo")
    store = FeatureStore(config=repository_config(folder, server_url))
    shop = Entity(name="feast_shop", join_keys=["shop_id"], value_type=ValueType.INT64)
    history = FileSource(name=f"history_{suffix}", path=str(folder / "history.parquet"), timestamp_field="event_timestamp")
    pushed = PushSource(name=f"sales_{suffix}", batch_source=history)
    key = Field(name="shop_id", dtype=Int64)
    sales = FeatureView(
        name=f"shop_sales_{suffix}",
        entities=[shop],
        schema=[key, Field(name="count_1h", dtype=Int64), Field(name="amount_sum_1d", dtype=Float64)],
        source=history,
    )
    last = FeatureView(
        name=f"shop_last_{suffix}",
        entities=[shop],
        schema=[key, Field(name="amount", dtype=Float64), Field(name="product", dtype=String)],
        ttl=datetime.timedelta(hours=1),
        source=pushed,
    )
    service = FeatureService(name=f"offers_{suffix}", features=[sales, last])
    history_frame().to_parquet(folder / "history.parquet")
    store.apply([shop, history, pushed, sales, last, service])
    return Repository(store, server_url, sales.name, last.name, pushed.name, service.name)


def repository_config(folder: Path, server_url: str) -> RepoConfig:
    return RepoConfig(
        project="shop",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store=RemoteOnlineStoreConfig(path=server_url, connection_retries=0),
        entity_key_serialization_version=3,
    )


def history_frame() -> pandas.DataFrame:
    return pandas.DataFrame(
        {"shop_id": [0], "amount": [0.0], "product": [""], "event_timestamp": [pandas.Timestamp(0, tz="UTC")]}
    )


@pytest.fixture(scope="module")
def sold(repository: Repository) -> datetime.datetime:
    """Two sales of shop 1 within the hour, one of shop 2 yesterday; the time of the newest."""
    now = datetime.datetime.now(UTC)
    rows = [
        ("a", now - datetime.timedelta(minutes=20), 1, 1.5, "tea"),
        ("b", now - datetime.timedelta(minutes=10), 1, 2.5, None),
        ("c", now - datetime.timedelta(hours=20), 2, 4.0, "jam"),
    ]
    columns = ("sale_id", "sold_at", "shop_id", "amount", "product")
    frame: dict[str, list[object]] = {name: [] for name in columns}
    for row in rows:
        for name, value in zip(columns, row, strict=True):
            frame[name].append(value.isoformat() if isinstance(value, datetime.datetime) else value)
    body = {"push_source_name": repository.source, "df": frame, "to": "online"}
    response = requests.post(f"{repository.url}/push", json=body, timeout=60)
    assert response.status_code == 200, response.text
    return rows[1][1]


def rows(*shops: int) -> list[dict[str, int]]:
    return [{"shop_id": shop} for shop in shops]


def statuses(repository: Repository, features: list[str], shops: list[int]) -> dict[str, list[str]]:
    answer = repository.store.get_online_features(features=features, entity_rows=rows(*shops)).proto
    names = {0: "INVALID", 1: "PRESENT", 2: "NULL_VALUE", 3: "NOT_FOUND", 4: "OUTSIDE_MAX_AGE"}
    return {
        name: [names[status] for status in result.statuses]
        for name, result in zip(answer.metadata.feature_names.val, answer.results, strict=True)
    }


def test_features_are_read_by_reference(repository, sold):
    answer = repository.store.get_online_features(
        features=[f"{repository.sales}:count_1h", f"{repository.sales}:amount_sum_1d", f"{repository.last}:amount"],
        entity_rows=rows(1, 2, 3, 1),
    )
    assert answer.to_dict() == {
        "shop_id": [1, 2, 3, 1],
        "count_1h": [2, 0, 0, 2],
        "amount_sum_1d": [4.0, 4.0, None, 4.0],
        "amount": [2.5, None, None, 2.5],
    }
    frame = answer.to_df()
    assert list(frame["count_1h"]) == [2, 0, 0, 2]


def test_a_feature_service_and_full_names(repository, sold):
    service = repository.store.get_feature_service(repository.service)
    answer = repository.store.get_online_features(features=service, entity_rows=rows(1), full_feature_names=True)
    seen = answer.to_dict()
    assert seen[f"{repository.sales}__amount_avg_1h"] == [2.0]
    assert seen[f"{repository.last}__amount"] == [2.5]
    assert seen[f"{repository.last}__product"] == [None], "the last row has no product"
    names = repository.store.get_online_features(features=service, entity_rows=rows(1), full_feature_names=False)
    assert names.to_dict()["amount_avg_1d"] == [2.0]


def test_every_value_has_its_status(repository, sold):
    seen = statuses(
        repository, [f"{repository.last}:product", f"{repository.last}:amount", f"{repository.sales}:amount_sum_1h"], [1, 2, 3]
    )
    assert seen == {
        "shop_id": ["PRESENT", "PRESENT", "PRESENT"],
        "product": ["NULL_VALUE", "OUTSIDE_MAX_AGE", "NOT_FOUND"],
        "amount": ["PRESENT", "OUTSIDE_MAX_AGE", "NOT_FOUND"],
        "amount_sum_1h": ["PRESENT", "NULL_VALUE", "NOT_FOUND"],
    }


def test_event_timestamps_are_those_of_the_events(repository, sold):
    body = {"features": [f"{repository.last}:amount"], "entities": {"shop_id": [1, 3]}}
    answer = requests.post(f"{repository.url}/get-online-features", json=body, timeout=60).json()
    times = [datetime.datetime.fromisoformat(text) for text in answer["results"][1]["event_timestamps"]]
    assert times == [sold, datetime.datetime(1970, 1, 1, tzinfo=UTC)]


def test_a_frame_that_is_pushed_is_read_at_once(repository):
    now = datetime.datetime.now(UTC) - datetime.timedelta(seconds=2)
    frame = pandas.DataFrame(
        {"shop_id": [70, 71], "amount": [7.5, 8.5], "product": ["salt", "oil"], "event_timestamp": [now, now]}
    )
    repository.store.push(repository.source, frame, to=PushMode.ONLINE)
    # The client writes to the feature view that the push source feeds; a second time changes nothing.
    repository.store.push(repository.source, frame, to=PushMode.ONLINE)
    answer = repository.store.get_online_features(
        features=[f"{repository.last}:amount", f"{repository.last}:product", f"{repository.sales}:count_1h"],
        entity_rows=rows(70, 71),
    )
    assert answer.to_dict() == {
        "shop_id": [70, 71],
        "amount": [7.5, 8.5],
        "product": ["salt", "oil"],
        "count_1h": [1, 1],
    }


def test_what_is_not_there_is_an_exception_of_theirs(repository):
    def read(features: object, entities: list[dict[str, object]]) -> None:
        repository.store.get_online_features(features=features, entity_rows=entities)

    with pytest.raises(feast.errors.FeatureViewNotFoundException, match=f"did you mean {repository.last}"):
        read([f"{repository.last}x:amount"], rows(1))
    with pytest.raises(feast.errors.FeastObjectNotFoundException, match="did you mean"):
        read([f"{repository.last}:amounts"], rows(1))
    with pytest.raises(feast.errors.EntityNotFoundException, match="shop_no"):
        read([f"{repository.last}:amount"], [{"shop_id": 1, "shop_no": 1}])
    with pytest.raises(feast.errors.FeatureServiceNotFoundException):
        read(FeatureService(name="nothing", features=[]), rows(1))
    with pytest.raises(feast.errors.FeastError, match="expected int"):
        read([f"{repository.last}:amount"], [{"shop_id": "one"}])


def test_features_that_are_computed_cannot_be_written(repository):
    frame = pandas.DataFrame(
        {"shop_id": [1], "count_1h": [9], "amount_sum_1d": [9.0], "event_timestamp": [datetime.datetime.now(UTC)]}
    )
    with pytest.raises(feast.errors.FeastError, match="computes its features"):
        repository.store.write_to_online_store(repository.sales, frame)


def test_the_server_says_that_it_is_well(repository):
    assert requests.get(f"{repository.url}/health", timeout=60).status_code == 200
