"""Embeddings as features: a list of floats, the last one of each key, read beside windows on every wire, bit for bit."""

from __future__ import annotations

import datetime
import importlib
import io
import math
import random
import re
import struct
import uuid
from types import ModuleType
from typing import Any, NamedTuple

import grpc
import numpy
import pyarrow as pa
import pytest
import requests
from real_binary import ROOT

import shipway
from shipway import Aggregate, Definitions, Entity, Service, Source, View

ARROW = "application/vnd.apache.arrow.stream"
LENGTH = 768
UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def moment(minute: float) -> datetime.datetime:
    return NOON + datetime.timedelta(minutes=minute)


def floats(seed: int) -> list[float]:
    """Floats with every digit that there is: any bits that are a finite number but minus zero, and the ends of the range."""
    chance = random.Random(seed)
    found = [5e-324, 1.7976931348623157e308, 0.1 + 0.2, -1 / 3]
    while len(found) < LENGTH:
        number = struct.unpack("<d", chance.randbytes(8))[0]
        if number - number == 0 and number != 0:
            found.append(number)
    return found


def bits(values: Any) -> Any:
    """What two lists have to agree in."""
    return None if values is None else [None if value is None else struct.pack("<d", value) for value in values]


FIRST, SECOND, LATE, FOURTH = (floats(seed) for seed in range(4))
NARROW = numpy.random.default_rng(4).standard_normal(LENGTH, dtype=numpy.float32)
SHORT = [1.5, None, -2.25]


class Shop(NamedTuple):
    """The names of one run of these tests, and the tokens behind its events."""

    suffix: str
    tokens: str

    @property
    def service(self) -> str:
        return f"vectors_{self.suffix}"

    @property
    def embedding(self) -> str:
        return f"item_vector_{self.suffix}__embedding"

    @property
    def clicks(self) -> str:
        return f"item_clicks_{self.suffix}__count_1h"

    @property
    def seconds(self) -> str:
        return f"item_clicks_{self.suffix}__seconds_sum_1h"


@pytest.fixture(scope="module")
def client(server_url: str):
    with shipway.Client(server_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def shop(client: shipway.Client, server_url: str, messages: ModuleType) -> Shop:
    suffix = uuid.uuid4().hex[:8]
    item = Entity(f"vector_item_{suffix}", keys={"item_id": "text"})
    texts = Source(
        f"item_texts_{suffix}",
        columns={"text_id": "text", "written_at": "timestamp", "item_id": "text", "embedding": "list(float)"},
        event_time="written_at",
        event_id="text_id",
        retention="36500d",
    )
    clicks = Source(
        f"clicks_{suffix}",
        columns={"click_id": "text", "clicked_at": "timestamp", "item_id": "text", "seconds": "float"},
        event_time="clicked_at",
        event_id="click_id",
        retention="36500d",
    )
    vector = View(f"item_vector_{suffix}", entity=item, source=texts, latest=["embedding"])
    clicked = View(
        f"item_clicks_{suffix}",
        entity=item,
        source=clicks,
        aggregate=[
            Aggregate(operations=["count"], windows=["1h"]),
            Aggregate("seconds", operations=["sum"], windows=["1h"]),
        ],
    )
    service = Service(f"vectors_{suffix}", views=[vector, clicked])
    client.apply(Definitions(item, texts, clicks, vector, clicked, service), wait=True)

    def text(number: int, minute: float, item_id: str, embedding: Any) -> dict[str, Any]:
        return {"text_id": f"t{number}", "written_at": moment(minute), "item_id": item_id, "embedding": embedding}

    tokens = []
    # In JSON: one that is overwritten, one that is older than what is there, a null, a list of another length, an empty one.
    for rows in (
        [text(1, 0, "overwritten", FIRST), text(2, 0, "emptied", FIRST), text(3, 0, "shorter", FIRST)],
        [text(4, 10, "overwritten", SECOND), text(5, 10, "emptied", None), text(6, 10, "shorter", SHORT)],
        [text(7, 5, "overwritten", LATE), text(8, 10, "nothing in it", [])],
        # Of two at one moment the greater id decides, and not which came last.
        [text(92, 10, "twice at once", SECOND), text(91, 10, "twice at once", FIRST)],
    ):
        tokens.append(client.push(texts.name, rows).token)
    # In Arrow, as they come from numpy, in 64 bits and in 32; and over gRPC.
    for number, item_id, values in ((81, "of a frame", numpy.array(FOURTH)), (82, "of 32 bits", NARROW)):
        frame = pa.table(
            {
                "text_id": [f"t{number}"],
                "written_at": pa.array([moment(10)], pa.timestamp("us", tz="UTC")),
                "item_id": [item_id],
                "embedding": pa.array([values], pa.list_(pa.from_numpy_dtype(values.dtype))),
            }
        )
        tokens.append(client.push(texts.name, frame).token)
    listed = messages.Value(list=messages.List(values=[messages.Value(float=value) for value in FOURTH]))
    row = {
        "text_id": messages.Value(text="t10"),
        "written_at": messages.Value(timestamp_us=round(moment(10).timestamp() * 1_000_000)),
        "item_id": messages.Value(text="over grpc"),
        "embedding": listed,
    }
    columns = [messages.Column(name=name, values=[value]) for name, value in row.items()]
    with grpc.insecure_channel(server_url.removeprefix("http://")) as channel:
        stub = importlib.import_module("shipway_features_v1_pb2_grpc").FeatureServiceStub(channel)
        pushed = stub.Push(messages.PushRequest(source=texts.name, columns=columns))
    assert pushed.acknowledged == 1, pushed
    tokens.append(pushed.token)
    clicked_rows = [
        {"click_id": f"c{number}", "clicked_at": moment(number), "item_id": "overwritten", "seconds": 0.1} for number in range(3)
    ]
    tokens.append(client.push(clicks.name, clicked_rows).token)
    return Shop(suffix, ",".join(tokens))


EXPECTED = {
    "overwritten": SECOND,
    "emptied": None,
    "shorter": SHORT,
    "nothing in it": [],
    "twice at once": SECOND,
    "of a frame": FOURTH,
    "of 32 bits": [float(value) for value in NARROW],
    "over grpc": FOURTH,
    "never seen": None,
}


def test_one_read_has_embeddings_beside_windows_in_json(client, shop):
    read = client.read(shop.service, [{"item_id": name} for name in EXPECTED], at=moment(20), token=shop.tokens)

    assert read.columns == [shop.embedding, shop.clicks, shop.seconds]
    found = dict(zip(EXPECTED, read))
    for name, embedding in EXPECTED.items():
        assert bits(found[name][shop.embedding]) == bits(embedding), name
    assert [found["overwritten"][name] for name in (shop.clicks, shop.seconds)] == [3, math.fsum([0.1] * 3)]
    assert [found["of a frame"][name] for name in (shop.clicks, shop.seconds)] == [0, None]
    assert read.to_arrow().schema.field(shop.embedding).type == pa.list_(pa.float64())


def test_the_same_read_in_arrow(server_url, shop):
    asked = pa.table({"item_id": list(EXPECTED)})
    body = io.BytesIO()
    with pa.ipc.new_stream(body, asked.schema) as writer:
        writer.write_table(asked)
    response = requests.post(
        f"{server_url}/api/v1/features/read",
        params={"service": shop.service, "at": moment(20).isoformat(), "token": shop.tokens},
        headers={"content-type": ARROW, "accept": ARROW},
        data=body.getvalue(),
        timeout=60,
    )
    assert response.ok, response.text
    table = pa.ipc.open_stream(response.content).read_all()
    column = table.column(shop.embedding)
    assert column.type.value_type == pa.float64()
    assert [bits(embedding) for embedding in column.to_pylist()] == [bits(embedding) for embedding in EXPECTED.values()]
    assert table.column(shop.clicks).to_pylist() == [3] + [0] * (len(EXPECTED) - 1)


def test_the_same_read_over_grpc(server_url, messages, shop):
    keys = messages.Column(name="item_id", values=[messages.Value(text=name) for name in EXPECTED])
    at_us = round(moment(20).timestamp() * 1_000_000)
    with grpc.insecure_channel(server_url.removeprefix("http://")) as channel:
        stub = importlib.import_module("shipway_features_v1_pb2_grpc").FeatureServiceStub(channel)
        read = stub.Read(messages.ReadRequest(service=shop.service, columns=[keys], at_us=at_us, token=shop.tokens))

    columns = {column.name: column for column in read.columns}
    assert columns[shop.embedding].type == "list(float)"

    def listed(value: Any) -> Any:
        if value.WhichOneof("kind") is None:
            return None
        return [item.float if item.WhichOneof("kind") else None for item in value.list.values]

    found = [listed(value) for value in columns[shop.embedding].values]
    assert [bits(embedding) for embedding in found] == [bits(embedding) for embedding in EXPECTED.values()]
    assert [value.int for value in columns[shop.clicks].values] == [3] + [0] * (len(EXPECTED) - 1)


def test_a_training_set_has_the_embedding_of_each_moment(client, shop):
    moments = {-1: None, 1: FIRST, 6: LATE, 20: SECOND}
    spine = [{"item_id": "overwritten", "asked_at": moment(minute), "row": minute} for minute in moments]
    spine += [{"item_id": name, "asked_at": moment(20), "row": 100 + row} for row, name in enumerate(EXPECTED)]

    training = client.training_set(shop.service, spine, time="asked_at").to_arrow()

    assert training.schema.field(shop.embedding).type.value_type == pa.float64()
    found = {row["row"]: row for row in training.to_pylist()}
    for minute, embedding in moments.items():
        assert bits(found[minute][shop.embedding]) == bits(embedding), minute
    for row, (name, embedding) in enumerate(EXPECTED.items()):
        assert bits(found[100 + row][shop.embedding]) == bits(embedding), name
    assert [found[minute][shop.clicks] for minute in moments] == [0, 1, 3, 3]


def test_a_list_of_anything_but_floats_is_refused_by_its_row(client, shop):
    source = f"item_texts_{shop.suffix}"
    row = {"text_id": "x", "written_at": moment(0), "item_id": "refused"}
    pushed = client.push(source, [{**row, "embedding": [0.5, "much"]}, {**row, "embedding": 0.5}])
    assert pushed.acknowledged == 0
    assert [(refused.index, refused.reason.startswith("column embedding: ")) for refused in pushed.refused] == [(0, True), (1, True)]


def test_the_example_of_the_documents_runs(server_url, monkeypatch):
    section = (ROOT / "docs" / "online.md").read_text(encoding="utf-8").split("\n## Embeddings\n")[1].split("\n## ")[0]
    [example] = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    monkeypatch.setenv("SHIPWAY_SERVER", server_url)
    names: dict[str, Any] = {}
    exec(compile(example, "docs/online.md", "exec"), names)
    row = names["row"]
    assert len(row["item_text__embedding"]) == 3
    assert row["item_clicks__count_1d"] == 1
