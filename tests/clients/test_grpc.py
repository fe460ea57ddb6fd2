"""gRPC on the one port: unmodified `grpcio`, with stubs made from the repository's proto, over HTTP/2 without TLS."""

from __future__ import annotations

import datetime
import importlib
import uuid
from collections.abc import Iterator
from types import ModuleType

import grpc
import pytest
import requests

DEFINITIONS = """\
kind: entity
name: grpc_shop
keys: {{ shop: text }}
---
kind: source
name: grpc_sales_{suffix}
event_time: sold_at
event_id: sale_id
columns: {{ sale_id: text, sold_at: timestamp, shop: text, amount: float }}
---
kind: view
name: grpc_shop_sales_{suffix}
entity: grpc_shop
source: grpc_sales_{suffix}
aggregate:
  - operations: [count]
    windows: [1h]
  - column: amount
    operations: [sum]
    windows: [1h]
---
kind: service
name: grpc_offers_{suffix}
views: [grpc_shop_sales_{suffix}]
request: {{ basket: int }}
"""


@pytest.fixture(scope="module")
def names(server_url: str) -> dict[str, str]:
    suffix = uuid.uuid4().hex[:8]
    files = [{"path": "grpc.yaml", "text": DEFINITIONS.format(suffix=suffix)}]
    response = requests.post(f"{server_url}/api/v1/definitions/apply", json={"files": files}, timeout=60)
    assert response.ok, response.text
    return {"source": f"grpc_sales_{suffix}", "service": f"grpc_offers_{suffix}", "view": f"grpc_shop_sales_{suffix}"}


@pytest.fixture
def stub(server_url: str, messages: ModuleType) -> Iterator[object]:
    services = importlib.import_module("shipway_features_v1_pb2_grpc")
    with grpc.insecure_channel(server_url.removeprefix("http://")) as channel:
        yield services.FeatureServiceStub(channel)


def value(messages: ModuleType, given: object) -> object:
    if given is None:
        return messages.Value()
    if isinstance(given, datetime.datetime):
        return messages.Value(timestamp_us=round(given.timestamp() * 1_000_000))
    kind = {bool: "bool", int: "int", float: "float", str: "text"}[type(given)]
    return messages.Value(**{kind: given})


def columns(messages: ModuleType, **given: list[object]) -> list[object]:
    return [
        messages.Column(name=name, values=[value(messages, one) for one in values]) for name, values in given.items()
    ]


def test_what_is_pushed_over_grpc_is_read_over_grpc_and_http(server_url, stub, messages, names):
    now = datetime.datetime.now(datetime.timezone.utc)
    pushed = stub.Push(
        messages.PushRequest(
            source=names["source"],
            columns=columns(messages, sale_id=["a", "b"], sold_at=[now, now], shop=["x", "x"], amount=[0.5, 2]),
        )
    )
    assert (pushed.acknowledged, len(pushed.refused)) == (2, 0)

    read = stub.Read(
        messages.ReadRequest(
            service=names["service"],
            columns=columns(messages, shop=["x", "nobody", None], basket=[1, 2, 3]),
            at_us=round(now.timestamp() * 1_000_000) + 1,
            token=pushed.token,
        )
    )

    seen = {column.name: [one.WhichOneof("kind") and getattr(one, one.WhichOneof("kind")) for one in column.values] for column in read.columns}
    assert seen == {
        f"{names['view']}__count_1h": [2, 0, None],
        f"{names['view']}__amount_sum_1h": [2.5, None, None],
        "basket": [1, 2, 3],
    }
    [freshness] = read.views
    assert [row.HasField("event_time_us") for row in freshness.rows] == [True, False, False]
    assert freshness.rows[0].age_us == 1

    at = (datetime.datetime.fromtimestamp(0, datetime.timezone.utc) + datetime.timedelta(microseconds=read.at_us)).isoformat()
    over_http = requests.post(
        f"{server_url}/api/v1/features/read",
        json={"service": names["service"], "rows": [{"shop": "x", "basket": 1}], "at": at},
        timeout=60,
    ).json()
    assert over_http["rows"][0]["values"] == [2, 2.5, 1]
    assert over_http["service_hash"] == read.service_hash


def test_a_refusal_has_its_status_its_code_and_its_hint(stub, messages, names):
    with pytest.raises(grpc.RpcError) as refused:
        stub.Read(messages.ReadRequest(service="nothing", columns=[]))
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert dict(refused.value.trailing_metadata())["shipway-code"] == "features.unknown_service"

    with pytest.raises(grpc.RpcError) as refused:
        stub.Read(messages.ReadRequest(service=names["service"], columns=columns(messages, shop=["x"], basket=["y"])))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "row 0: column basket: expected int, got text"

    too_many = columns(messages, shop=["x"] * 10_001, basket=[1] * 10_001)
    with pytest.raises(grpc.RpcError) as refused:
        stub.Read(messages.ReadRequest(service=names["service"], columns=too_many))
    assert refused.value.code() == grpc.StatusCode.OUT_OF_RANGE
    assert dict(refused.value.trailing_metadata())["shipway-hint"] == "split the request"


def test_a_method_that_is_not_there_is_unimplemented(server_url):
    with grpc.insecure_channel(server_url.removeprefix("http://")) as channel:
        call = channel.unary_unary("/shipway.features.v1.FeatureService/Forget")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"")
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
