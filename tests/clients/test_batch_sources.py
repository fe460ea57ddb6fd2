"""History that lies elsewhere: an S3-speaking store, a table of the unmodified Delta client, files on disk, killed servers."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from deltalake import DeltaTable, write_deltalake
from moto.server import ThreadedMotoServer
from server import Failed, Server

import shipway

KEY, SECRET = "the-operators-key", "the-operators-secret"
SHOPS = ["north", "south", "east"]
START = 1_750_000_000_000_000
MINUTE = 60_000_000
AFTER = "2025-08-01T00:00:00Z"


def definitions(batch: str) -> str:
    return f"""
kind: entity
name: shop
keys: {{ shop: text }}
---
kind: source
name: sales
event_time: sold_at
event_id: sale
columns: {{ sale: int, sold_at: timestamp, shop: text, amount: float }}
retention: 36500d
batch: {batch}
---
kind: view
name: spent
entity: shop
source: sales
aggregate:
  - column: amount
    operations: [count, sum, avg, min, max, first, last]
    windows: [1h, 7d, lifetime]
---
kind: service
name: shop_features
views: [spent]
"""


def sales(numbers: range) -> pa.Table:
    """Sales of the numbers, several at one moment, out of order, with amounts whose sum depends on order unless it is exact."""
    return pa.table(
        {
            "sale": pa.array(numbers, pa.int64()),
            "dep_ts": pa.array([START + number * 7_919 % 5_000 // 3 * MINUTE for number in numbers], pa.timestamp("us", "UTC")),
            "shop": [SHOPS[number % 3] for number in numbers],
            "amount": [number / 7 for number in numbers],
            "noise": ["nobody declares me"] * len(numbers),
        }
    )


class Shop:
    """A server of its own, which can die, and what it may read."""

    def __init__(self, binary: str, folder: Path, environment: dict[str, str]) -> None:
        self.binary, self.folder, self.environment = binary, folder, environment
        self.server = self.starts()

    def starts(self) -> Server:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in self.environment.items():
                environment.setenv(name, value)
            return Server(self.binary, self.folder / "data", self.folder / "server.log")

    def dies_and_returns(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)
        with pytest.raises(Failed):
            self.server.stop()
        self.server = self.starts()

    def applies(self, batch: str) -> None:
        path = self.folder / "definitions.yaml"
        path.write_text(definitions(batch))
        self.server.cli("apply", str(path))

    def refreshes(self, expect: tuple[int, ...] = (0,)) -> dict:
        # The look that `apply` asked for may be under way: a second one finds what it missed.
        self.server.cli("sources", "refresh", "sales", "--wait", expect=expect)
        return self.server.cli("sources", "refresh", "sales", "--wait", expect=expect)

    def status(self) -> dict:
        return self.server.cli("sources", "status", "sales")

    def features(self) -> list:
        with shipway.Client(self.server.url) as client:
            client.wait_until_ready()
            return [dict(row) for row in client.read("shop_features", [{"shop": shop} for shop in SHOPS], at=AFTER)]

    def count(self) -> int:
        return self.server.cli("sql", "SELECT count(*) AS n FROM sales")["rows"][0][0]


def loaded_at_once(binary: str, folder: Path, rows: pa.Table) -> list:
    """The features after one load of everything, on a server that knows of no batch source."""
    (folder / "at-once").mkdir()
    plain = Shop(binary, folder / "at-once", {})
    plain.folder.joinpath("definitions.yaml").write_text(
        "\n".join(line for line in definitions("").splitlines() if not line.startswith("batch"))
    )
    plain.server.cli("apply", str(plain.folder / "definitions.yaml"))
    pq.write_table(rows.rename_columns(["sale", "sold_at", "shop", "amount", "noise"]).drop_columns(["noise"]), plain.folder / "all.parquet")
    plain.server.cli("table", "load", "sales", str(plain.folder / "all.parquet"))
    features = plain.features()
    plain.server.stop()
    return features


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """An S3-speaking store on a free loopback port."""
    started = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def bucket(store: str) -> Iterator[tuple[str, object]]:
    client = boto3.client(
        "s3", endpoint_url=store, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )
    name = f"sales-{time.monotonic_ns()}"
    client.create_bucket(Bucket=name)
    yield name, client


def puts(client: object, bucket: str, key: str, rows: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, row_group_size=50)
    client.put_object(Bucket=bucket, Key=key, Body=buffer.getvalue())  # type: ignore[attr-defined]


def of_store(store: str, bucket: str) -> dict[str, str]:
    return {
        "SHIPWAY_SOURCES__ALLOWED_BUCKETS": json.dumps([f"{bucket}/in"]),
        "SHIPWAY_SOURCES__S3__ENDPOINT": store,
        "SHIPWAY_SOURCES__S3__PATH_STYLE": "true",
        "SHIPWAY_SOURCES__S3__ACCESS_KEY_ID": KEY,
        "SHIPWAY_SOURCES__S3__SECRET_ACCESS_KEY": SECRET,
    }


@pytest.fixture
def s3_shop(binary: str, store: str, bucket: tuple[str, object], tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(binary, tmp_path, of_store(store, bucket[0]))
    yield shop
    shop.server.stop()


@pytest.fixture
def disk_shop(binary: str, tmp_path: Path) -> Iterator[Shop]:
    (tmp_path / "in").mkdir()
    shop = Shop(binary, tmp_path, {"SHIPWAY_SOURCES__ALLOWED_FOLDERS": json.dumps([str(tmp_path / "in")])})
    yield shop
    shop.server.stop()


def test_a_bucket_is_loaded_file_by_file_and_equals_one_load(s3_shop: Shop, bucket: tuple[str, object], binary: str, tmp_path: Path) -> None:
    name, client = bucket
    puts(client, name, "in/2025/01/a.parquet", sales(range(0, 400)))
    puts(client, name, "in/2025/01/_tmp/x.parquet", sales(range(9_000, 9_010)))
    puts(client, name, "elsewhere/x.parquet", sales(range(9_010, 9_020)))
    s3_shop.applies(f"{{ files: 's3://{name}/in/**/*.parquet', columns: {{ sold_at: dep_ts }} }}")
    s3_shop.refreshes()
    assert (s3_shop.status()["items"]["loaded"], s3_shop.count()) == (1, 400)
    puts(client, name, "in/2025/02/b.parquet", sales(range(400, 900)))
    puts(client, name, "in/2025/03/c.parquet", sales(range(850, 1_000)))
    s3_shop.refreshes()
    status = s3_shop.status()
    assert (status["items"]["loaded"], status["rows"], status["duplicates"]) == (3, 1_000, 50)
    assert s3_shop.features() == loaded_at_once(binary, tmp_path, sales(range(1_000)))

    puts(client, name, "in/2025/01/a.parquet", sales(range(0, 401)))
    s3_shop.refreshes(expect=(1,))
    problem = s3_shop.status()["problems"][0]
    assert (problem["item"], problem["code"]) == (f"s3://{name}/in/2025/01/a.parquet", "features.batch_file_changed")
    assert s3_shop.count() == 1_000


def test_a_killed_server_loads_each_object_once(s3_shop: Shop, bucket: tuple[str, object]) -> None:
    name, client = bucket
    for file in range(40):
        puts(client, name, f"in/{file:02}.parquet", sales(range(file * 50, file * 50 + 50)))
    s3_shop.applies(f"{{ files: 's3://{name}/in/*.parquet', columns: {{ sold_at: dep_ts }} }}")
    for wanted in (1, 9, 22):
        s3_shop.server.cli("sources", "refresh", "sales")
        deadline = time.monotonic() + 120
        while s3_shop.status()["items"]["loaded"] < wanted and time.monotonic() < deadline:
            time.sleep(0.005)
        s3_shop.dies_and_returns()
    s3_shop.refreshes()
    status = s3_shop.status()
    assert (status["items"]["loaded"], status["rows"], s3_shop.count()) == (40, 2_000, 2_000)


def test_a_bucket_is_read_only_where_the_operator_allows_it(s3_shop: Shop, bucket: tuple[str, object]) -> None:
    name, _ = bucket
    s3_shop.applies(f"{{ files: 's3://{name}/*.parquet', columns: {{ sold_at: dep_ts }} }}")
    refused = s3_shop.server.cli("sources", "refresh", "sales", "--wait", expect=(1,))
    assert refused["code"] == "lake.bucket_not_allowed"
    assert "sources.allowed_buckets" in refused["hint"]
    assert SECRET not in (s3_shop.folder / "server.log").read_text()


def test_without_a_key_no_bucket_is_read_and_nobody_is_asked_for_one(binary: str, store: str, tmp_path: Path) -> None:
    environment = of_store(store, "sales-bucket")
    del environment["SHIPWAY_SOURCES__S3__ACCESS_KEY_ID"], environment["SHIPWAY_SOURCES__S3__SECRET_ACCESS_KEY"]
    # Credentials that lie about are not the operator's: they are not taken up.
    environment |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    shop = Shop(binary, tmp_path, environment)
    shop.applies("{ files: 's3://sales-bucket/in/*.parquet', columns: { sold_at: dep_ts } }")
    refused = shop.server.cli("sources", "refresh", "sales", "--wait", expect=(1,))
    assert refused["code"] == "lake.bucket_no_credentials"
    shop.server.stop()


@pytest.mark.parametrize("place", ["disk", "bucket"])
def test_a_table_of_the_delta_client_is_followed_version_by_version(
    place: str, binary: str, store: str, bucket: tuple[str, object], tmp_path: Path
) -> None:
    name, _ = bucket
    (tmp_path / "in").mkdir()
    environment = {"SHIPWAY_SOURCES__ALLOWED_FOLDERS": json.dumps([str(tmp_path / "in")])}
    shop = Shop(binary, tmp_path, environment | of_store(store, name))
    uri = str(tmp_path / "in" / "sales") if place == "disk" else f"s3://{name}/in/sales"
    options = {
        "AWS_ENDPOINT_URL": store, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true", "AWS_S3_ALLOW_UNSAFE_RENAME": "true",
    }  # fmt: skip
    storage = options if place == "bucket" else None
    # The shop is in the names of the folders, not in the files.
    write_deltalake(uri, sales(range(0, 300)), partition_by=["shop"], storage_options=storage)
    write_deltalake(uri, sales(range(300, 500)), mode="append", storage_options=storage)
    shop.applies(f"{{ delta: '{uri}', columns: {{ sold_at: dep_ts }}, every: 1h }}")
    shop.refreshes()
    assert (shop.status()["table_version"], shop.count()) == (1, 500)
    for start in range(500, 800, 100):
        write_deltalake(uri, sales(range(start, start + 100)), mode="append", storage_options=storage)
    DeltaTable(uri, storage_options=storage).optimize.compact()
    shop.refreshes()
    status = shop.status()
    assert (status["table_version"], status["items"]["loaded"], status["rows"]) == (5, 4, 800)
    assert shop.features() == loaded_at_once(binary, tmp_path, sales(range(800)))

    DeltaTable(uri, storage_options=storage).delete("sale = 3")
    write_deltalake(uri, sales(range(800, 900)), mode="append", storage_options=storage)
    shop.refreshes(expect=(1,))
    problem = shop.status()["problems"][0]
    assert (problem["code"], shop.count()) == ("lake.outside_rows_changed", 800)
    assert "version 6" in problem["message"] and "DELETE" in problem["message"]
    shop.server.stop()


def test_files_on_disk_of_every_format_and_a_bad_one_among_them(disk_shop: Shop, binary: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    lines = [json.dumps({**row, "dep_ts": row["dep_ts"].isoformat()}) for row in sales(range(0, 100)).to_pylist()]
    (folder / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (folder / "b.jsonl").write_text('{"sale": 1000, "dep_ts": "2025-06-16", "shop": "north", "amount": "much"}\n')
    disk_shop.applies(f"{{ files: '{folder}/*.jsonl*', format: jsonl, columns: {{ sold_at: dep_ts }} }}")
    looked = disk_shop.server.cli("sources", "refresh", "sales", "--wait", expect=(1,))
    assert (looked["exit_code"], looked["failed"], looked["rows"] + looked["duplicates"] <= 100) == (1, 1, True)
    status = disk_shop.status()
    assert (status["items"]["loaded"], status["items"]["failed"], status["rows"]) == (1, 1, 100)
    problem = status["problems"][0]
    assert problem["code"] == "lake.rows_bad" and "line 1: column amount" in problem["message"]

    (folder / "b.jsonl").write_text("\n".join(lines[50:]))
    with shipway.Client(disk_shop.server.url) as client:
        refresh = client.refresh("sales")
        assert (refresh.rows, refresh.duplicates, refresh.failed) == (0, 50, 0)
        assert client.batch_status("sales").problems == []
    assert disk_shop.features() == loaded_at_once(binary, tmp_path, sales(range(100)))


def test_what_was_applied_is_looked_at_without_being_asked(disk_shop: Shop, tmp_path: Path) -> None:
    pq.write_table(sales(range(100)), tmp_path / "in" / "a.parquet")
    disk_shop.applies(f"{{ files: '{tmp_path}/in/*.parquet', columns: {{ sold_at: dep_ts }} }}")
    deadline = time.monotonic() + 60
    while disk_shop.status()["rows"] < 100 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert disk_shop.count() == 100


def test_no_path_leads_out_of_the_allowed_folder(disk_shop: Shop, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    pq.write_table(sales(range(10)), secret / "hush.parquet")
    (tmp_path / "in" / "link.parquet").symlink_to(secret / "hush.parquet")
    (tmp_path / "in" / "folder").symlink_to(secret)
    for pattern, code in [
        (f"{secret}/*.parquet", "lake.folder_not_allowed"),
        (f"{tmp_path}/in/folder/*.parquet", "lake.outside_link"),
    ]:
        disk_shop.applies(f"{{ files: '{pattern}', columns: {{ sold_at: dep_ts }} }}")
        assert disk_shop.server.cli("sources", "refresh", "sales", "--wait", expect=(1,))["code"] == code
    disk_shop.applies(f"{{ files: '{tmp_path}/in/**/*.parquet', columns: {{ sold_at: dep_ts }} }}")
    disk_shop.refreshes(expect=(1,))
    problems = disk_shop.status()["problems"]
    assert {problem["code"] for problem in problems} == {"lake.outside_link"}
    assert disk_shop.count() == 0
    for pattern in (f"{tmp_path}/in/../secret/*.parquet", "http://169.254.169.254/latest/*.csv", "data/*.csv"):
        path = tmp_path / "bad.yaml"
        path.write_text(definitions(f"{{ files: '{pattern}' }}"))
        refused = disk_shop.server.cli("apply", str(path), expect=(1,))
        assert refused["code"] == "definitions.invalid", refused


def test_the_server_answers_in_the_words_of_the_command_line(disk_shop: Shop, tmp_path: Path) -> None:
    disk_shop.applies(f"{{ files: '{tmp_path}/in/*.csv', columns: {{ sold_at: dep_ts }} }}")
    answer = requests.get(f"{disk_shop.server.url}/api/v1/sources", timeout=30).json()
    assert [source["source"] for source in answer["sources"]] == ["sales"]
    missing = requests.post(f"{disk_shop.server.url}/api/v1/sources/sale/refresh", json={}, timeout=30)
    assert (missing.status_code, missing.json()["code"]) == (404, "features.unknown_source")
