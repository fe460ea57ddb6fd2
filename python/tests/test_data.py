"""Frames and rows in, frames out: what pandas, polars and Arrow hand over arrives as it was meant."""

from __future__ import annotations

import datetime
import uuid

import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest

from shipway import frames
from shipway.errors import InvalidInput, InvalidRequest, NotFound

AT = datetime.datetime(2026, 1, 5, 11, tzinfo=datetime.timezone.utc)


def purchases(user: str) -> dict[str, list]:
    return {
        "purchase_id": [f"{user}-{number}" for number in range(3)],
        "bought_at": [
            datetime.datetime(2026, 1, 5, 10, minute, tzinfo=datetime.timezone.utc) for minute in (5, 10, 20)
        ],
        "user_id": [user] * 3,
        "amount": [1.0, None, 2.5],
    }


@pytest.fixture
def user() -> str:
    return f"u{uuid.uuid4().hex[:12]}"


@pytest.mark.parametrize(
    "make", [pandas.DataFrame, polars.DataFrame, pyarrow.table, lambda data: polars.LazyFrame(data)]
)
@pytest.mark.parametrize("batch_rows", [2, 10_000])
def test_a_frame_is_pushed_in_batches_and_every_event_counts_once(client, user, make, batch_rows):
    frame = make(purchases(user))
    pushed = client.push("purchases", frame, batch_rows=batch_rows)
    assert (pushed.acknowledged, pushed.duplicates, pushed.refused) == (3, 0, [])

    again = client.push("purchases", frame, batch_rows=batch_rows)
    assert (again.acknowledged, again.duplicates) == (3, 3)
    result = client.read("fraud", {"user_id": user, "basket_size": 1}, token=again.token, at=AT)
    assert result[0]["user_spending__amount_sum_7d"] == 3.5
    assert result[0]["user_spending__count_7d"] == 3


def test_refused_rows_are_named_by_their_place_in_all_that_was_pushed(client, user):
    good = {"purchase_id": f"{user}-1", "bought_at": AT, "user_id": user, "amount": 1.0}
    rows = [good, {**good, "amount": "much"}, {**good, "purchase_id": f"{user}-2"}, {**good, "bought_at": None}]
    pushed = client.push("purchases", iter(rows), batch_rows=1)
    assert pushed.acknowledged == 2
    assert [row.index for row in pushed.refused] == [1, 3]
    assert "amount" in pushed.refused[0].reason and "event time is missing" in pushed.refused[1].reason


def test_a_column_that_the_source_lacks_is_told(client):
    with pytest.raises(InvalidRequest, match="amuont"):
        client.push("purchases", pyarrow.table({"amuont": [1.0]}))


def test_an_unknown_source_is_not_found(client):
    with pytest.raises(NotFound) as caught:
        client.push("purchase", [{"a": 1}])
    assert caught.value.code == "features.unknown_source"
    assert "did you mean purchases" in str(caught.value)


@pytest.mark.parametrize("make", [lambda rows: rows, pandas.DataFrame, polars.DataFrame, pyarrow.Table.from_pylist])
def test_a_read_takes_rows_of_any_kind_and_answers_in_their_order(client, make):
    asked = [{"user_id": "ada", "basket_size": 3}, {"user_id": "nobody", "basket_size": 4}]
    result = client.read("fraud", make(asked), at=AT)
    assert [row["user_spending__count_7d"] for row in result] == [2, 0]
    assert [row["basket_size"] for row in result] == [3, 4]
    assert result.at == AT
    assert result.stale == [(1, "user_spending")]
    assert result.freshness[1]["user_spending"].event_time is None


def test_the_types_of_a_read_are_those_of_the_definition_even_where_nothing_is_there(client):
    result = client.read("fraud", {"user_id": "nobody", "basket_size": 1}, at=AT)
    types = {field.name: str(field.type) for field in result.to_arrow().schema}
    assert types["user_spending__count_1h"] == "int64"
    assert types["user_spending__amount_max_1h"] == "double"
    assert result[0]["user_spending__amount_max_1h"] is None
    assert list(result.to_pandas(keys=True).columns)[:2] == ["user_id", "user_spending__count_1h"]
    assert result.to_polars().columns == result.columns
    assert result.to_dicts(keys=True)[0]["user_id"] == "nobody"


def test_a_training_set_is_the_same_through_every_way_out(client, tmp_path):
    progress: list[tuple[int, int]] = []
    training = client.training_set("fraud", "asked", time="asked_at", progress=lambda *rows: progress.append(rows))
    assert training.rows is None
    table = training.to_arrow()
    assert training.to_arrow() is table
    assert progress[-1] == (2, 2)
    assert training.rows == 2 and training.service_hash.startswith("sha256:")
    assert table.column("user_spending__amount_sum_7d").to_pylist()[0] == 15.5
    assert training.to_pandas().shape == training.to_polars().shape == (2, 10)

    path = client.training_set("fraud", "asked", time="asked_at").to_parquet(tmp_path / "training.parquet")
    read = pyarrow.parquet.read_table(path)
    assert read.equals(table)
    assert read.schema.metadata[b"shipway.service_hash"].decode() == training.service_hash
    assert [file.name for file in tmp_path.iterdir()] == ["training.parquet"]


def test_a_training_set_becomes_a_table_of_the_server(client):
    name = f"training_{uuid.uuid4().hex[:8]}"
    written = client.training_set("fraud", "asked", time="asked_at").to_table(name)
    assert (written.table, written.rows) == (name, 2)
    assert client.sql(f"SELECT count(*) AS rows FROM {name}").to_pylist() == [{"rows": 2}]


SPINE = {
    "user_id": ["ada", "ada", None],
    "asked_at": [
        datetime.datetime(2026, 1, 5, 10, 15),
        datetime.datetime(2026, 1, 5, 10, 45),
        datetime.datetime(2026, 1, 5),
    ],
    "basket_size": [1, 2, 3],
    "label": ["no", "yes", "no"],
}


@pytest.mark.parametrize(
    "make",
    [
        pandas.DataFrame,
        lambda data: pandas.DataFrame(data).astype({"label": "category"}).set_index(pandas.Index([7, 8, 9])),
        lambda data: polars.DataFrame(data).with_columns(polars.col("label").cast(polars.Categorical)),
        pyarrow.table,
    ],
)
def test_a_spine_may_be_any_frame(client, make):
    table = client.training_set("fraud", make(SPINE), time="asked_at").to_arrow()
    assert table.column("user_spending__count_1h").to_pylist() == [1, 2, None]
    assert table.column("label").to_pylist() == ["no", "yes", "no"]


def test_the_same_spine_is_loaded_once_whatever_it_comes_as(client):
    spine = {**SPINE, "asked_at": [moment.replace(tzinfo=datetime.timezone.utc) for moment in SPINE["asked_at"]]}
    client.training_set("fraud", pyarrow.table(spine), time="asked_at")
    before = {table.name for table in client.tables()}
    halves = pyarrow.concat_tables([pyarrow.table(spine).slice(0, 1), pyarrow.table(spine).slice(1)])
    client.training_set("fraud", halves, time="asked_at")
    assert {table.name for table in client.tables()} == before
    assert any(name.startswith("spine_") for name in before)


def test_a_spine_without_rows_gives_a_training_set_without_rows(client):
    table = client.training_set("fraud", "SELECT * FROM asked WHERE false", time="asked_at").to_arrow()
    assert table.num_rows == 0
    assert "user_spending__count_1h" in table.column_names


def test_start_and_end_bound_the_spine(client):
    moment = datetime.datetime(2026, 1, 6, tzinfo=datetime.timezone.utc)
    assert client.training_set("fraud", "asked", time="asked_at", start=moment).to_arrow().num_rows == 0
    assert client.training_set("fraud", "asked", time="asked_at", end=moment).to_arrow().num_rows == 2


def test_a_training_set_as_of_arrival_counts_only_what_had_arrived(client):
    def counted(watermark: int) -> list:
        asked = client.training_set(
            "fraud", "asked", time="asked_at", as_of="arrival", watermarks={"purchases": watermark}
        )
        return asked.to_arrow().column("user_spending__count_7d").to_pylist()

    end = next(source.log_end for source in client.status().sources if source.name == "purchases")
    assert (counted(0), counted(end)) == ([0, 0], [2, 0])


def test_a_file_is_loaded_by_its_name(client, tmp_path):
    path = tmp_path / "countries.csv"
    path.write_text("country,people\nnl,18\nde,83\n")
    name = f"countries_{uuid.uuid4().hex[:8]}"
    assert client.load(name, path).rows == 2
    assert client.load(name, path).already_loaded
    assert client.sql(f"SELECT sum(people) AS people FROM {name}").to_pylist() == [{"people": 101}]
    with pytest.raises(InvalidInput, match="no such file"):
        client.load(name, tmp_path / "nothing.csv")
    with pytest.raises(InvalidInput, match="format is not clear"):
        client.load(name, tmp_path / "countries.xlsx")


def test_whole_numbers_that_pandas_made_floats_are_whole_again(client):
    from shipway.ingest import _conformed

    table = pyarrow.table({"n": [1.0, None], "x": [1.5, 2.0]})
    conformed = _conformed(table, {"columns": [["n", "int"], ["x", "int"]]})
    assert [str(field.type) for field in conformed.schema] == ["int64", "double"]


def test_missing_is_null_and_a_number_that_is_none_only_in_arrow():
    nan = float("nan")
    assert frames.to_rows([{"a": nan, "b": pandas.NaT, "c": pandas.NA}]) == [{"a": None, "b": None, "c": None}]
    assert frames.to_rows(pandas.DataFrame({"a": [nan]})) == [{"a": None}]
    assert frames.to_rows(pyarrow.table({"a": [nan, float("-inf")]})) == [{"a": "NaN"}, {"a": "-Infinity"}]


def test_numpy_values_are_values():
    import numpy

    row = {"a": numpy.int64(1), "b": numpy.float32(0.5), "c": numpy.bool_(True), "d": numpy.array([1, 2])}
    assert frames.to_rows(row) == [{"a": 1, "b": 0.5, "c": True, "d": [1, 2]}]


def test_nanoseconds_floor_toward_the_past():
    table = pyarrow.table({"at": pyarrow.array([-1, 1999, None], pyarrow.timestamp("ns", "UTC"))})
    found = frames.to_table(table).column("at")
    assert found.cast(pyarrow.int64()).to_pylist() == [-1, 1, None]


def test_maps_and_lists_of_an_answer_become_arrow_maps_and_lists():
    table = frames.to_arrow(["m", "l"], [None, None], [[{"a": 1.0, "b": 2.0}, [1, 2]], [None, None]])
    assert str(table.column("m").type) == "map<string, double>"
    assert table.column("l").to_pylist() == [[1, 2], None]


def test_the_types_of_definitions_are_those_of_arrow():
    words = {
        "list(float)": "list<item: double>",
        "map(int)": "map<string, int64>",
        "list(map(int))": "list<item: map<string, int64>>",
    }
    assert {word: str(frames.arrow_type(word)) for word in words} == words
    assert frames.arrow_type("uuid") is None and frames.arrow_type({"list": "int"}) is None
    kind = frames.arrow_type("list(map(float))")
    value = frames.from_json([{"b": 1, "a": None}], kind)
    assert frames.to_arrow(["x"], [kind], [[value], [None]]).column("x").to_pylist() == [
        [[("a", None), ("b", 1.0)]],
        None,
    ]


@pytest.mark.parametrize("rows", ["ada", 3, [["ada"]], [{"a": object()}]])
def test_what_is_no_row_is_refused_before_it_is_sent(client, rows):
    with pytest.raises(InvalidInput):
        client.read("fraud", rows)
