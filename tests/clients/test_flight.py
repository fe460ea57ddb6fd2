"""Arrow Flight SQL with the unmodified ADBC driver and `pyarrow.flight`, against the real binary."""

from __future__ import annotations

import datetime
import io
import json
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow
import pyarrow.flight as flight
import pyarrow.ipc
import pyarrow.parquet
import pytest
import requests
from adbc_driver_flightsql import DatabaseOptions

UTC = datetime.timezone.utc
REFUSALS = (flight.FlightError, pyarrow.ArrowException)
DEFINITIONS = """\
kind: entity
name: flight_shop
keys: { shop: text }
---
kind: source
name: flight_sales
event_time: sold_at
event_id: sale_id
columns: { sale_id: text, sold_at: timestamp, shop: text, amount: float }
---
kind: view
name: flight_shop_sales
entity: flight_shop
source: flight_sales
aggregate:
  - operations: [count]
    windows: [1h, lifetime]
  - column: amount
    operations: [sum, avg]
    windows: [1h, lifetime]
---
kind: service
name: flight_offers
views: [flight_shop_sales]
"""


@pytest.fixture
def connection(server_url: str) -> Iterator[flight_sql.Connection]:
    with flight_sql.connect(server_url.replace("http", "grpc"), autocommit=True) as opened:
        yield opened


@pytest.fixture
def client(server_url: str) -> Iterator[flight.FlightClient]:
    with flight.connect(server_url.replace("http", "grpc")) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    return f"flight_{uuid.uuid4().hex[:12]}"


def moment(minute: int) -> datetime.datetime:
    return datetime.datetime(2024, 5, 1, 12, 0, tzinfo=UTC) + datetime.timedelta(minutes=minute)


@pytest.fixture(scope="module")
def sales(server_url: str) -> None:
    files = [{"path": "flight.yaml", "text": DEFINITIONS}]
    applied = requests.post(f"{server_url}/api/v1/definitions/apply", json={"files": files}, timeout=60)
    assert applied.ok, applied.text
    table = pyarrow.table(
        {
            "sale_id": [f"s{number}" for number in range(600)],
            "sold_at": [moment(number) for number in range(600)],
            "shop": [f"shop {number % 7}" for number in range(600)],
            "amount": [number * 0.1 for number in range(600)],
        }
    )
    body = io.BytesIO()
    pyarrow.parquet.write_table(table, body)
    loaded = requests.post(
        f"{server_url}/api/v1/tables/flight_sales/load",
        params={"format": "parquet", "load_id": "flight"},
        data=body.getvalue(),
        timeout=120,
    )
    assert loaded.ok, loaded.text


def spine(rows: int = 50) -> pyarrow.Table:
    return pyarrow.table(
        {
            "shop": [f"shop {number % 9}" for number in range(rows)],
            "q": pyarrow.array([moment(number * 11) for number in range(rows)], pyarrow.timestamp("us", tz="UTC")),
            "label": [number % 2 == 0 for number in range(rows)],
        }
    )


def fetch(connection: flight_sql.Connection, query: str, parameters: tuple | None = None) -> pyarrow.Table:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetch_arrow_table()


def test_a_query_answers_with_its_types(connection):
    table = fetch(
        connection,
        "SELECT 1 AS n, 2.5 AS x, 'é' AS word, true AS yes, [1, 2] AS list, CAST(NULL AS BIGINT) AS nothing, "
        "to_timestamp_micros(0) AT TIME ZONE 'UTC' AS at",
    )
    row = table.to_pylist()[0]
    at = row.pop("at")
    assert row == {"n": 1, "x": 2.5, "word": "é", "yes": True, "list": [1, 2], "nothing": None}
    assert at == datetime.datetime(1970, 1, 1, tzinfo=UTC)


def test_what_was_uploaded_comes_back_as_it_was(connection, name):
    sent = pyarrow.table(
        {
            "n": pyarrow.array([1, None, -(2**62)], pyarrow.int64()),
            "x": pyarrow.array([0.1, float("inf"), None], pyarrow.float64()),
            "word": ["", None, "naïve ✓"],
            "yes": [True, False, None],
            "at": pyarrow.array([moment(0), None, datetime.datetime(1969, 12, 31, tzinfo=UTC)], pyarrow.timestamp("us", "UTC")),
            "list": pyarrow.array([[1.5, None], [], None], pyarrow.list_(pyarrow.float64())),
        }
    )
    with connection.cursor() as cursor:
        assert cursor.adbc_ingest(name, sent, mode="create") == 3
    seen = fetch(connection, f"SELECT * FROM {name}")
    assert seen.to_pylist() == sent.to_pylist()
    assert seen.schema.field("at").type == pyarrow.timestamp("us", "UTC")


def test_an_upload_appends_creates_or_is_refused(connection, name):
    rows = pyarrow.table({"n": [1, 2]})
    with connection.cursor() as cursor:
        with pytest.raises(adbc_driver_manager.Error, match="does not exist"):
            cursor.adbc_ingest(name, rows, mode="append")
        cursor.adbc_ingest(name, rows, mode="create")
        with pytest.raises(adbc_driver_manager.Error, match="exists already"):
            cursor.adbc_ingest(name, rows, mode="create")
        with pytest.raises(adbc_driver_manager.Error, match="not replaced"):
            cursor.adbc_ingest(name, rows, mode="replace")
        with pytest.raises(adbc_driver_manager.Error, match="m is missing|m is not declared|n is missing"):
            cursor.adbc_ingest(name, pyarrow.table({"m": [1]}), mode="append")
        cursor.adbc_ingest(name, rows, mode="create_append")
    assert fetch(connection, f"SELECT count(*) AS n FROM {name}").to_pylist() == [{"n": 4}]


def test_an_upload_under_one_load_id_counts_once(server_url, name):
    header = DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "x-shipway-load-id"
    kwargs = {header: "the-one"}
    with flight_sql.connect(server_url.replace("http", "grpc"), db_kwargs=kwargs, autocommit=True) as connection:
        for _ in range(3):
            with connection.cursor() as cursor:
                cursor.adbc_ingest(name, pyarrow.table({"n": [1, 2]}), mode="create_append")
        assert fetch(connection, f"SELECT count(*) AS n FROM {name}").to_pylist() == [{"n": 2}]


def test_parameters_are_bound(connection):
    query = "SELECT n FROM (VALUES (1), (2), (3)) AS t(n) WHERE n > $1 AND n < $2"
    assert fetch(connection, query, (1, 3)).to_pylist() == [{"n": 2}]
    with pytest.raises(adbc_driver_manager.Error):
        fetch(connection, query, (1,))


def test_metadata_names_the_tables(connection, name):
    with connection.cursor() as cursor:
        cursor.adbc_ingest(name, pyarrow.table({"n": [1], "word": ["a"]}), mode="create")
    objects = connection.adbc_get_objects(depth="all", table_name_filter=name).read_all().to_pylist()
    assert [catalog["catalog_name"] for catalog in objects] == ["shipway"]
    (schema,) = objects[0]["catalog_db_schemas"]
    assert schema["db_schema_name"] == "lake"
    (table,) = schema["db_schema_tables"]
    assert (table["table_name"], table["table_type"]) == (name, "TABLE")
    assert [column["column_name"] for column in table["table_columns"]] == ["n", "word"]
    assert connection.adbc_get_table_schema(name).names == ["n", "word"]
    assert "TABLE" in connection.adbc_get_table_types()
    assert connection.adbc_get_info()["vendor_name"] == "Shipway"


def test_errors_have_a_code_and_a_hint(connection, name):
    with connection.cursor() as cursor:
        cursor.adbc_ingest(name, pyarrow.table({"n": [1]}), mode="create")
    for query, words in [
        (f"SELECT * FROM {name}x", rf"did you mean {name}\?.*\[lake.table_unknown\]"),
        ("SELEC 1", r"\[lake.query_invalid\]"),
        ("CREATE TABLE t (n INT)", r"\[lake.read_only\]"),
        (f"INSERT INTO {name} VALUES (1)", r"\[lake.read_only\]"),
        ("DROP TABLE departures", r"\[lake.read_only\]"),
        ("SELECT * FROM training_set('nothing', 't', 'q')", r"\[features.unknown_service\]"),
        ("SELECT * FROM training_set('nothing')", r"training_set takes a service"),
        ("SELECT '" + "x" * 300_000 + "'", r"\[features.too_large\]"),
    ]:
        with pytest.raises(adbc_driver_manager.Error, match=words):
            fetch(connection, query)
    with pytest.raises(adbc_driver_manager.Error, match=r"\[lake.read_only\]"), connection.cursor() as cursor:
        cursor.adbc_statement.set_sql_query(f"DELETE FROM {name}")
        cursor.adbc_statement.execute_update()


def training_set_over_http(server_url: str, table: str) -> pyarrow.Table:
    response = requests.post(
        f"{server_url}/api/v1/training-sets",
        json={"service": "flight_offers", "spine": {"table": table}, "time": "q"},
        timeout=120,
    )
    assert response.ok, response.text
    return pyarrow.ipc.open_stream(response.content).read_all()


def test_a_training_set_in_sql_is_the_one_of_http(server_url, connection, sales, name):
    with connection.cursor() as cursor:
        cursor.adbc_ingest(name, spine(), mode="create")
    expected = training_set_over_http(server_url, name)

    by_table = fetch(connection, f"SELECT * FROM training_set('flight_offers', '{name}', 'q')")
    by_query = fetch(connection, f"SELECT * FROM training_set('flight_offers', 'SELECT * FROM {name}', 'q')")

    assert by_table.column_names == expected.column_names
    assert by_table.to_pylist() == expected.to_pylist()
    assert by_query.to_pylist() == expected.to_pylist()
    assert any(row["flight_shop_sales__count_1h"] for row in expected.to_pylist())
    counted = fetch(
        connection,
        f"SELECT count(*) AS n, sum(flight_shop_sales__amount_sum_lifetime) IS NOT NULL AS summed "
        f"FROM training_set('flight_offers', '{name}', 'q') WHERE label",
    )
    assert counted.to_pylist() == [{"n": 25, "summed": True}]


def test_a_training_set_is_a_flight_with_a_json_command(server_url, client, connection, sales, name):
    with connection.cursor() as cursor:
        cursor.adbc_ingest(name, spine(), mode="create")
    command = json.dumps({"service": "flight_offers", "spine": {"table": name}, "time": "q"})

    info = client.get_flight_info(flight.FlightDescriptor.for_command(command))

    assert info.total_records == 50
    table = client.do_get(info.endpoints[0].ticket).read_all()
    assert table.schema.names == info.schema.names
    assert table.to_pylist() == training_set_over_http(server_url, name).to_pylist()
    with pytest.raises(REFUSALS, match="features.unknown_service"):
        client.do_get(flight.Ticket(json.dumps({"service": "no", "spine": {"table": name}, "time": "q"}))).read_all()
    with pytest.raises(REFUSALS, match="features.invalid_request"):
        client.do_get(flight.Ticket(b'{"nonsense": 1}')).read_all()


def test_tables_are_flights_by_path(client, name):
    rows = pyarrow.table({"n": list(range(10))})
    writer, reader = client.do_put(flight.FlightDescriptor.for_path(name), rows.schema)
    with writer:
        writer.write_table(rows, max_chunksize=3)
        writer.done_writing()
        answer = json.loads(reader.read().to_pybytes())
    assert (answer["table"], answer["rows"]) == (name, 10)

    info = client.get_flight_info(flight.FlightDescriptor.for_path(name))
    assert info.total_records == 10
    assert client.do_get(info.endpoints[0].ticket).read_all().to_pylist() == rows.to_pylist()
    assert client.get_schema(flight.FlightDescriptor.for_path(name)).schema.names == ["n"]
    assert name in [listed.descriptor.path[0].decode() for listed in client.list_flights()]


def test_nonsense_is_refused_and_the_server_goes_on(client, connection):
    for ticket in [b"", b"\xff\xff\xff\xff", b"{", b"\x0a\x03abc", b"x" * 2_000_000]:
        with pytest.raises(REFUSALS):
            client.do_get(flight.Ticket(ticket)).read_all()
    assert fetch(connection, "SELECT 1 AS one").to_pylist() == [{"one": 1}]


def memory_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def test_a_result_of_millions_of_rows_streams_in_bounded_memory(server, connection):
    fetch(connection, "SELECT 1")
    before = memory_bytes(server.pid)
    seen, total, most = 0, 0, 0
    with connection.cursor() as cursor:
        # 160 MB for the client, made row by row.
        cursor.execute("SELECT value, value * 2 AS double, value + 1 AS next, -value AS minus FROM generate_series(1, 5000000)")
        for batch in cursor.fetch_record_batch():
            seen += batch.num_rows
            total += batch.column(0)[batch.num_rows - 1].as_py()
            most = max(most, memory_bytes(server.pid))
    assert seen == 5_000_000
    assert most - before < 120 << 20, f"the server grew by {(most - before) >> 20} MiB"


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def wait_until_idle(pid: int) -> None:
    """Until the server computes nothing worth mentioning; a query that goes on never lets it come to that."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        before = cpu_ticks(pid)
        time.sleep(0.5)
        if cpu_ticks(pid) - before < 15:
            return
    pytest.fail("the server goes on computing")


def test_a_client_that_leaves_ends_its_query(server, connection):
    with connection.cursor() as cursor:
        # Without an end within a human life, unless it is stopped.
        cursor.execute("SELECT value FROM generate_series(1, 1000000000000)")
        assert next(iter(cursor.fetch_record_batch())).num_rows > 0
    assert fetch(connection, "SELECT 1 AS one").to_pylist() == [{"one": 1}]
    wait_until_idle(server.pid)


def test_the_token_of_the_server_is_asked_for(binary, tmp_path):
    token = "a token of enough letters"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [binary, "--token", token, "serve", "--data", str(tmp_path / "data"), "--listen", f"127.0.0.1:{port}"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(arguments, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).ok:
                        break
                except requests.ConnectionError:
                    time.sleep(0.05)
            uri = f"grpc://127.0.0.1:{port}"
            with pytest.raises(adbc_driver_manager.Error, match="(?i)unauthenticated|says nothing about who"):
                with flight_sql.connect(uri, autocommit=True) as stranger:
                    fetch(stranger, "SELECT 1")
            bearer = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}"}
            with flight_sql.connect(uri, db_kwargs=bearer, autocommit=True) as known:
                assert fetch(known, "SELECT 1 AS one").to_pylist() == [{"one": 1}]
            basic = {"username": "ann", "password": token}
            with flight_sql.connect(uri, db_kwargs=basic, autocommit=True) as known:
                assert fetch(known, "SELECT 1 AS one").to_pylist() == [{"one": 1}]
            with flight.connect(uri) as plain:
                options = flight.FlightCallOptions(headers=[plain.authenticate_basic_token("ann", token)])
                ticket = flight.Ticket(json.dumps({"query": "SELECT 1 AS one"}))
                assert plain.do_get(ticket, options).read_all().to_pylist() == [{"one": 1}]
        finally:
            process.terminate()
