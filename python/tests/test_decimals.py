"""Decimals go to the server and come back with every digit; answers know their types, and rows may list entities."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal

import pandas
import polars
import pyarrow
import pytest

import shipway
from shipway import Aggregate, frames
from shipway.errors import InvalidDefinition, InvalidInput
from shipway.operations import avg, sum

AT = datetime.datetime(2026, 1, 5, 11, tzinfo=datetime.timezone.utc)
LARGE = Decimal("123456789012345678901234567890.12")
# The sum of the three prices, and its third as a float. Python's own sum would be cut to 28 digits.
TOTAL = Decimal("123456789012345678901234567891.15")
AVERAGE = 41152263004115226300411522630.383


def tariffs() -> shipway.Definitions:
    tariff = shipway.Entity("tariff", keys={"rate": "decimal(5,3)"})
    orders = shipway.Source(
        "orders",
        columns={"order_id": "text", "at": "timestamp", "rate": "decimal(5, 3)", "price": "decimal(38,2)"},
        event_time="at",
        event_id="order_id",
        retention="36500d",
    )
    view = shipway.View(
        "tariff_orders",
        entity=tariff,
        source=orders,
        aggregate=[Aggregate("price", operations=[sum, avg], windows=["1h"])],
    )
    service = shipway.Service("tariffs", views=[view], request={"offer": "decimal(10,2)"})
    return shipway.Definitions(tariff, orders, view, service)


@pytest.fixture(scope="module")
def priced(client):
    client.apply(tariffs(), wait=True)
    return client


def events(rate: str) -> list[dict]:
    prices = [LARGE, Decimal("0.03"), Decimal("1")]
    return [
        {"order_id": uuid.uuid4().hex, "at": AT - datetime.timedelta(minutes=1), "rate": Decimal(rate), "price": price}
        for price in prices
    ]


@pytest.mark.parametrize(
    ("rate", "make"),
    [("0.1", list), ("0.2", pandas.DataFrame), ("0.3", polars.DataFrame), ("0.4", pyarrow.Table.from_pylist)],
)
def test_decimals_are_pushed_and_read_with_every_digit(priced, rate, make):
    pushed = priced.push("orders", make(events(rate)))
    assert (pushed.acknowledged, pushed.refused) == (3, [])
    asked = {"rate": Decimal(rate), "offer": Decimal("9.90")}
    result = priced.read("tariffs", asked, token=pushed.token, at=AT)
    assert result[0]["tariff_orders__price_sum_1h"] == TOTAL
    assert result[0]["tariff_orders__price_avg_1h"] == AVERAGE
    assert str(result[0]["offer"]) == "9.90", "with its scale"
    assert result.to_polars()["tariff_orders__price_sum_1h"].dtype == polars.Decimal(38, 2)
    assert result.to_pandas()["tariff_orders__price_sum_1h"][0] == TOTAL


def test_an_answer_has_its_types_where_there_is_no_value(priced):
    table = priced.read("tariffs", [{"rate": Decimal("9"), "offer": None}], at=AT).to_arrow()
    assert [str(kind) for kind in table.schema.types] == ["decimal128(38, 2)", "double", "decimal128(10, 2)"]
    assert priced.read("tariffs", [], at=AT).to_arrow().schema.types == table.schema.types


def test_a_training_set_of_decimals_is_one_of_decimals(priced):
    pushed = priced.push("orders", events("0.5"))
    priced.read("tariffs", {"rate": "0.5", "offer": None}, token=pushed.token)
    spine = [{"rate": Decimal("0.5"), "offer": Decimal("1.25"), "asked_at": AT}]
    table = priced.training_set("tariffs", spine, time="asked_at").to_arrow()
    assert table.column("tariff_orders__price_sum_1h").to_pylist() == [TOTAL]
    assert str(table.schema.field("tariff_orders__price_sum_1h").type) == "decimal128(38, 2)"


def test_a_query_over_history_answers_with_decimals(priced):
    loaded = priced.load("orders", pyarrow.Table.from_pylist(events("0.6")))
    assert loaded.rows == 3
    found = priced.sql("SELECT price FROM orders WHERE rate = CAST('0.6' AS DECIMAL(5,3)) ORDER BY price")
    assert found.column("price").to_pylist() == [Decimal("0.03"), Decimal("1.00"), LARGE]


def test_rows_that_list_entities_become_lists_in_every_form(priced):
    pushed = priced.push("orders", events("0.7"))
    rows = [{"rate": [Decimal("0.7"), Decimal("8")], "offer": None}, {"rate": Decimal("0.7"), "offer": Decimal(1)}]
    result = priced.read("tariffs", rows, token=pushed.token, at=AT)
    assert result[0]["tariff_orders__price_sum_1h"] == [TOTAL, None]
    assert result[1]["tariff_orders__price_sum_1h"] == TOTAL
    assert [one.event_time for one in result.freshness[0]["tariff_orders"]] == [
        AT - datetime.timedelta(minutes=1),
        None,
    ]
    assert result.freshness[1]["tariff_orders"].fresh and result.stale == [(0, "tariff_orders")] * (
        not result.freshness[0]["tariff_orders"][1].fresh
    )
    table = result.to_arrow(keys=True)
    assert table.column("tariff_orders__price_sum_1h").to_pylist() == [[TOTAL, None], [TOTAL]]
    assert str(table.schema.field("tariff_orders__price_sum_1h").type) == "list<item: decimal128(38, 2)>"
    assert table.column("offer").to_pylist() == [None, Decimal("1.00")]


def test_decimals_are_text_in_json_and_never_have_an_exponent():
    assert frames.to_json(Decimal("1E+3")) == "1000"
    assert frames.to_json([Decimal("1E-7"), None, {"a": Decimal("-0.10")}]) == ["0.0000001", None, {"a": "-0.10"}]
    assert frames.to_json(Decimal("NaN")) is None
    for wrong in ("Infinity", "-Infinity"):
        with pytest.raises(InvalidInput, match="is no decimal"):
            frames.to_json(Decimal(wrong))
    assert str(frames.arrow_type("list(decimal(18,2))")) == "list<item: decimal128(18, 2)>"
    assert frames.from_json(["1.50", None], frames.arrow_type("list(decimal(18,2))")) == [Decimal("1.50"), None]


def test_the_types_of_decimals_are_those_of_the_server():
    columns = tariffs()["orders"].columns
    assert columns["rate"] == "decimal(5,3)", "one word for one type"
    assert '"decimal(5,3)"' in tariffs().to_yaml(), "a comma ends a value in braces"
    assert shipway.Entity("e", keys={"k": "decimal(18)"}).keys == {"k": "decimal(18,0)"}
    for wrong in ("decimal", "decimal(39,2)", "decimal(2,3)", "list(decimal)"):
        with pytest.raises(InvalidDefinition, match="does not exist") as refused:
            shipway.Source("s", columns={"at": "timestamp", "a": wrong}, event_time="at")
        assert "write decimal(18,2)" in refused.value.hint
