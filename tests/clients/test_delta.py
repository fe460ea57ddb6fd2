"""The lake is open: the unmodified `deltalake` package reads what Shipway wrote, and Shipway reads what it wrote.

Needs the fixtures `server_url` (a running server) and `data_dir` (its data folder).
"""

import datetime
import io
import pathlib
import uuid

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
import requests
from deltalake import DeltaTable, write_deltalake

CSV = '''\
flight_id,departed_at,dep_delay,seats,cancelled
a,2013-03-10T01:30:00-05:00,2.5,100,false
b,2013-03-10 06:30:00,,,true
"c, ""d""",1969-12-31T23:59:59.999999Z,-1,0,false
'''


@pytest.fixture
def table_name() -> str:
    return f"delta_{uuid.uuid4().hex[:12]}"


def load(server_url: str, table: str, body: bytes, file_format: str, load_id: str | None = None) -> dict:
    parameters = {"format": file_format}
    if load_id is not None:
        parameters["load_id"] = load_id
    response = requests.post(f"{server_url}/api/v1/tables/{table}/load", params=parameters, data=body, timeout=60)
    assert response.ok, response.text
    return response.json()


def query(server_url: str, sql: str) -> list[dict]:
    response = requests.post(
        f"{server_url}/api/v1/sql",
        json={"query": sql},
        headers={"Accept": "application/vnd.apache.arrow.stream"},
        timeout=60,
    )
    assert response.ok, response.text
    return pyarrow.ipc.open_stream(response.content).read_all().to_pylist()


def open_table(data_dir, name: str) -> DeltaTable:
    return DeltaTable(str(pathlib.Path(data_dir) / "lake" / name))


def rows_by(table: DeltaTable, column: str) -> list[dict]:
    return sorted(table.to_pyarrow_table().to_pylist(), key=lambda row: row[column])


def test_a_loaded_csv_is_a_delta_table(server_url, data_dir, table_name):
    load(server_url, table_name, CSV.encode(), "csv")

    table = open_table(data_dir, table_name)

    utc = datetime.timezone.utc
    moment = datetime.datetime(2013, 3, 10, 6, 30, tzinfo=utc)
    before_1970 = datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=utc)
    seen = [{name: row[name] for name in CSV.splitlines()[0].split(",")} for row in rows_by(table, "flight_id")]
    assert seen == [
        {"flight_id": "a", "departed_at": moment, "dep_delay": 2.5, "seats": 100, "cancelled": False},
        {"flight_id": "b", "departed_at": moment, "dep_delay": None, "seats": None, "cancelled": True},
        {"flight_id": 'c, "d"', "departed_at": before_1970, "dep_delay": -1.0, "seats": 0, "cancelled": False},
    ]
    types = {field.name: field.type.type for field in table.schema().fields}
    assert (types["departed_at"], types["seats"], types["dep_delay"]) == ("timestamp", "long", "double")


def test_the_same_load_twice_is_one_version(server_url, data_dir, table_name):
    load(server_url, table_name, CSV.encode(), "csv", load_id="once")
    version = open_table(data_dir, table_name).version()

    load(server_url, table_name, CSV.encode(), "csv", load_id="once")

    table = open_table(data_dir, table_name)
    assert table.version() == version
    assert table.to_pyarrow_table().num_rows == 3


def test_a_refused_file_leaves_the_table_as_it_was(server_url, data_dir, table_name):
    load(server_url, table_name, CSV.encode(), "csv")
    version = open_table(data_dir, table_name).version()

    bad = CSV.replace("100,false", "many,false")
    response = requests.post(
        f"{server_url}/api/v1/tables/{table_name}/load", params={"format": "csv"}, data=bad.encode(), timeout=60
    )

    assert response.status_code == 400, response.text
    assert "line 2" in response.json()["detail"]
    table = open_table(data_dir, table_name)
    assert table.version() == version
    assert table.to_pyarrow_table().num_rows == 3


def test_parquet_of_pyarrow_keeps_its_values(server_url, data_dir, table_name):
    noon = datetime.datetime(2013, 7, 1, 12, 0, tzinfo=datetime.timezone.utc)
    source = pyarrow.table(
        {
            "id": pyarrow.array([1, 2], pyarrow.int32()),
            "at": pyarrow.array([noon, None], pyarrow.timestamp("ns", tz="America/New_York")),
            "origin": pyarrow.array(["JFK", None]).dictionary_encode(),
        }
    )
    body = io.BytesIO()
    pyarrow.parquet.write_table(source, body)

    load(server_url, table_name, body.getvalue(), "parquet")

    seen = [
        {name: row[name] for name in source.column_names} for row in rows_by(open_table(data_dir, table_name), "id")
    ]
    assert seen == [{"id": 1, "at": noon, "origin": "JFK"}, {"id": 2, "at": None, "origin": None}]


def test_rows_that_another_writer_appends_are_seen_by_the_next_query(server_url, data_dir, table_name):
    load(server_url, table_name, b"n\n1\n2\n", "csv")
    assert query(server_url, f"SELECT count(*) AS n FROM {table_name}") == [{"n": 2}]

    path = str(pathlib.Path(data_dir) / "lake" / table_name)
    write_deltalake(path, pyarrow.table({"n": pyarrow.array([3], pyarrow.int64())}), mode="append", schema_mode="merge")

    assert query(server_url, f"SELECT sum(n) AS n FROM {table_name}") == [{"n": 6}]


def test_upkeep_changes_files_and_no_row_and_an_old_version_can_still_be_read(server_url, data_dir, table_name):
    for start in range(9):
        load(server_url, table_name, f"n,word\n{start},a\n{start + 100},b\n".encode(), "csv")
    before = open_table(data_dir, table_name)
    old = before.version()
    rows = rows_by(before, "n")

    response = requests.post(f"{server_url}/api/v1/tables/{table_name}/maintain", timeout=60)

    assert response.ok, response.text
    assert (response.json()["files_removed"], response.json()["files_added"]) == (9, 1)
    after = open_table(data_dir, table_name)
    assert len(after.file_uris()) == 1
    assert rows_by(after, "n") == rows
    assert query(server_url, f"SELECT count(*) AS n FROM {table_name}") == [{"n": 18}]
    pinned = DeltaTable(str(pathlib.Path(data_dir) / "lake" / table_name), version=old)
    assert rows_by(pinned, "n") == rows
    assert after.metadata().configuration["delta.deletedFileRetentionDuration"] == "interval 720 hours"
    load(server_url, table_name, b"n,word\n0,a\n100,b\n", "csv")
    assert query(server_url, f"SELECT count(*) AS n FROM {table_name}") == [{"n": 18}], "a load counts once, also after upkeep"
