"""Training sets as jobs of the real server: killed in the middle, cancelled, reused, made again bit for bit."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from deltalake import DeltaTable
from server import Failed, Server

DEFINITIONS = """
kind: entity
name: shop
keys: { shop: text }
---
kind: source
name: sales
event_time: sold_at
event_id: sale
columns: { sale: text, sold_at: timestamp, shop: text, amount: float }
---
kind: view
name: spent
entity: shop
source: sales
aggregate:
  - column: amount
    operations: [count, sum, avg, stddev, min, max, first, last]
    windows: [1h, 1d, 7d, lifetime]
---
kind: view
name: newest
entity: shop
source: sales
latest: [amount]
---
kind: service
name: shop_features
views: [spent, newest]
"""

MINUTE = 60_000_000
EVENTS, ROWS, SHOPS = 300_000, 300_000, 500


class Shop:
    """A server of its own, which can die."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary, self.folder = binary, folder
        self.server = self.starts()

    def starts(self) -> Server:
        # Far less memory than the sorts need: every job here spills.
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SHIPWAY_LAKE__MEMORY_LIMIT_MIB", "40")
            return Server(self.binary, self.folder / "data", self.folder / "server.log")

    def runs(self, *arguments: str, expect: tuple[int, ...] = (0,)) -> dict:
        return self.server.cli(*arguments, expect=expect)

    def dies_and_returns(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)
        with pytest.raises(Failed):
            self.server.stop()
        self.server = self.starts()

    def table(self, name: str) -> pa.Table:
        return DeltaTable(str(self.folder / "data" / "lake" / name)).to_pyarrow_table()


@pytest.fixture(scope="module")
def shop(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("jobs")
    shop = Shop(binary, folder)
    (folder / "shop.yaml").write_text(DEFINITIONS)
    shop.runs("apply", str(folder / "shop.yaml"))
    numbers = range(EVENTS)
    times = pa.array([number * 7_919 % EVENTS * MINUTE for number in numbers], pa.timestamp("us", "UTC"))
    sales = {
        "sale": [f"{number:07}" for number in numbers],
        "sold_at": times,
        "shop": [f"shop {number % SHOPS}" for number in numbers],
        "amount": [number % 1_000 / 7 for number in numbers],
    }
    pq.write_table(pa.table(sales), folder / "sales.parquet")
    asked = {"q": times, "shop": [f"shop {number % (SHOPS + 1)}" for number in range(ROWS)], "row": list(range(ROWS))}
    pq.write_table(pa.table(asked), folder / "asked.parquet")
    shop.runs("table", "load", "sales", str(folder / "sales.parquet"))
    shop.runs("table", "load", "asked", str(folder / "asked.parquet"))
    yield shop
    shop.server.stop()


def build(shop: Shop, table: str, *more: str, expect: tuple[int, ...] = (0,)) -> dict:
    options = ("--spine", "asked", "--time", "q", "--table", table, *more)
    return shop.runs("features", "training-set", "shop_features", *options, expect=expect)


def wait_for(shop: Shop, job: str, reached: Callable[[dict], bool]) -> dict:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        seen = requests.get(f"{shop.server.url}/api/v1/jobs/{job}", timeout=30).json()
        if reached(seen):
            return seen
        time.sleep(0.01)
    raise AssertionError(f"job {job} did not get there: {seen}")


def ended(job: dict) -> bool:
    return job["state"] in ("done", "failed", "cancelled")


def test_a_killed_server_goes_on_where_it_was(shop: Shop) -> None:
    job = build(shop, "training", "--detach")["id"]
    wait_for(shop, job, lambda seen: seen["progress"]["done"] >= 1 or ended(seen))
    shop.dies_and_returns()
    done = shop.runs("jobs", "wait", job)
    assert done["state"] == "done", done
    assert done["result"]["rows"] == ROWS
    assert "spent" not in done["result"]["computed"], "the view that was done before the kill is not computed again"
    table = shop.table("training")
    assert table.num_rows == ROWS
    assert sorted(table["row"].to_pylist()) == list(range(ROWS)), "no row is lost or doubled"
    recipe = json.loads(DeltaTable(str(shop.folder / "data/lake/training")).metadata().configuration["shipway.recipe"])
    assert recipe["service"] == "shop_features"
    assert recipe["spine"]["table"] == "asked"


def test_the_same_again_is_there_at_once_and_can_be_made_again_bit_for_bit(shop: Shop) -> None:
    build(shop, "kept")
    again = build(shop, "kept")
    assert again["reused"] and again["computed"] == []
    requests.post(
        f"{shop.server.url}/api/v1/ingest/sales",
        data=json.dumps({"sale": "late", "sold_at": "1970-01-02T00:00:00Z", "shop": "shop 1", "amount": 1e9}),
        timeout=30,
    ).raise_for_status()
    rebuilt = shop.runs("features", "rebuild", "kept", "--into", "kept_again")
    assert rebuilt["content"] == again["content"]
    assert shop.table("kept").sort_by("row").equals(shop.table("kept_again").sort_by("row"))
    refused = build(shop, "kept", expect=(1,))
    assert refused["code"] == "features.training_set_taken"


def test_a_cancelled_job_ends_soon_and_leaves_no_half_table(shop: Shop) -> None:
    job = build(shop, "never", "--detach", "--as-of", "arrival")["id"]
    wait_for(shop, job, lambda seen: seen["state"] == "running" or ended(seen))
    shop.runs("jobs", "cancel", job)
    seen = wait_for(shop, job, ended)
    assert seen["state"] == "cancelled", seen
    lake = shop.folder / "data" / "lake"
    assert not (lake / "never").exists()
    assert not list(lake.glob(".building-*"))
    listed = shop.runs("jobs", "list", "--state", "cancelled")["jobs"]
    assert [entry["id"] for entry in listed] == [job]
