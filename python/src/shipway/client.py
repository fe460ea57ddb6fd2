"""The client: a server as a Python object."""

from __future__ import annotations

import io
import os
import time as clock
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Union

import pyarrow as pa
import pyarrow.parquet

from shipway import frames, ingest
from shipway._calls import Moment, given, moment_text, segment
from shipway._http import Transport
from shipway.batch import BatchStatus, Refresh
from shipway.catalog import CatalogFeature, FeatureList
from shipway.definitions import Definitions
from shipway.definitions.collection import read_files
from shipway.errors import Forbidden, InvalidInput, NotFound, ServerTimeout, ShipwayError
from shipway.frames import Frame, Rows
from shipway.plan import Plan
from shipway.results import PushResult, ReadResult
from shipway.serving import ServingCalls
from shipway.sinks import SinkCalls
from shipway.status import LoadResult, Status, Table, ViewBuild
from shipway.streams import StreamCalls
from shipway.training import Progress, TrainingSet, arrow_batches

_POLL_SECONDS = 0.1
_PIECE_BYTES = 1 << 18

Proposal = Union[Definitions, str, "os.PathLike[str]", Iterable[Union[str, "os.PathLike[str]"]]]
"""Definitions as objects, or paths of files and folders."""


class Client(ServingCalls, StreamCalls, SinkCalls):
    """A Shipway server.

    The address comes from `server`, else from `SHIPWAY_SERVER`, else it is `http://127.0.0.1:8700`; the token from
    `token`, else from `SHIPWAY_TOKEN`. One client keeps a pool of connections: make one and share it, also between
    threads. Close it, or use it with `with`.

    A request whose repetition does no more than itself is tried again up to `retries` times when the connection breaks
    or the server says that it cannot answer yet. `timeout` is in seconds and bounds ordinary answers; `long_timeout`
    bounds each wait for a training set, a query, a load or a verification.

    >>> import shipway
    >>> client = shipway.Client()
    >>> client.read("fraud", {"user_id": "ada", "basket_size": 3}, at="2026-01-05T11:00:00Z")[0]["user_spending__count_7d"]
    2
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        long_timeout: float | None = 3600.0,
        retries: int = 3,
    ) -> None:
        self._transport = Transport(server, token, timeout, long_timeout, retries)
        self._definitions: dict[tuple[str, str], Mapping[str, Any]] = {}

    @property
    def server(self) -> str:
        """The address of the server."""
        return self._transport.server

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.server!r})"

    def plan(self, definitions: Proposal, *, prune: bool = False) -> Plan:
        """Shows what applying would change. With `prune`, what is not in `definitions` would go.

        >>> client.plan(shipway.Definitions(shipway.Entity("shop", keys={"shop_id": "int"})))
        + entity shop
        ...
        """
        return Plan.of(self._transport.json("POST", "definitions/plan", _proposal(definitions, prune), safe=True))

    def apply(self, definitions: Proposal, *, prune: bool = False, wait: bool = False) -> Plan:
        """Applies all of the definitions or none, and returns the plan that was carried out.

        With `wait` it returns when every view is built from history and answers.
        """
        body = _proposal(definitions, prune)
        self._definitions.clear()
        plan = Plan.of(self._transport.json("POST", "definitions/apply", body, safe=False, long=True))
        if wait:
            self.wait_until_ready()
        return plan

    def drop(self, kind: str, name: str, *, dry_run: bool = False) -> Plan:
        """Takes one definition out of force. Refused, with `Conflict`, while something uses it.

        Its table and its versions stay known. With `dry_run` nothing is changed and the plan says what would be.

        >>> client.drop("view", "user_spending")
        Traceback (most recent call last):
        shipway.errors.Conflict: error: view user_spending is in use by service fraud, ...
        hint: ...
        >>> _ = client.apply(shipway.Definitions(shipway.Entity("shop", keys={"shop_id": "int"})))
        >>> client.drop("entity", "shop", dry_run=True).changes[0].action
        'removed'
        >>> _ = client.drop("entity", "shop")
        """
        path = f"definitions/{segment(kind)}/{segment(name)}"
        params = {"dry_run": "true"} if dry_run else {}
        self._definitions.clear()
        return Plan.of(self._transport.json("DELETE", path, None, params=params, safe=dry_run))

    def features(
        self,
        text: str | None = None,
        *,
        tag: str | None = None,
        owner: str | None = None,
        pii: str | None = None,
        deprecated: bool | None = None,
        view: str | None = None,
        entity: str | None = None,
        service: str | None = None,
    ) -> FeatureList:
        """The features in force with what is known about them, all or those for which everything given holds.

        `text` is looked for in names, descriptions, owners and tags.

        >>> found = client.features("amount_sum", service="fraud")
        >>> found.names
        ['user_spending:amount_sum_1h', 'user_spending:amount_sum_7d']
        >>> found[0].freshness.objective, found[0].services
        ('1h', ('fraud',))
        """
        wanted = given(tag=tag, owner=owner, pii=pii, view=view, entity=entity, service=service, text=text)
        if deprecated is not None:
            wanted["deprecated"] = "true" if deprecated else "false"
        answer = self._transport.json("GET", "features", None, params=wanted, safe=True)
        return FeatureList([CatalogFeature.of(feature) for feature in answer["features"]])

    def wait_until_ready(self, timeout: float = 600.0) -> Status:
        """Asks for the status until every view is ready; a view whose build takes longer raises `ServerTimeout`.

        >>> client.wait_until_ready().ready
        True
        """
        deadline = clock.monotonic() + timeout
        while not (status := self.status()).ready:
            if clock.monotonic() > deadline:
                building = [view for source in status.sources for view, ready in source.views.items() if not ready]
                message = f"view {', '.join(building)} is not ready after {timeout:g} s"
                raise ServerTimeout(message, hint="`client.status()` shows when it is")
            clock.sleep(_POLL_SECONDS)
        return status

    def rebuild_view(self, view: str, *, hash: str | None = None) -> ViewBuild:
        """Builds the online state of a view again from history, beside the one that is read, compares each key's answers, and
        puts the new state in its place. Waits for the end; reads go on meanwhile. A view whose build was cancelled goes on.

        >>> build = client.rebuild_view("user_spending")
        >>> build.differing
        0
        """
        job = self._transport.json("POST", f"features/views/{segment(view)}/rebuild", given(hash=hash), safe=True)
        while job["state"] in ("queued", "running"):
            clock.sleep(_POLL_SECONDS)
            job = self._transport.get(f"jobs/{segment(job['id'])}")
        if job["state"] != "done":
            problem = job.get("error") or {"message": f"job {job['id']} was cancelled"}
            raise ShipwayError(problem["message"], code=problem.get("code"), hint=problem.get("hint"))
        return ViewBuild.of(job["result"])

    def push(self, source: str, rows: Rows | Frame, *, batch_rows: int = 10_000) -> PushResult:
        """Sends events to a source; returns when all that fit are durable.

        Mappings go as JSON, so one that does not fit is refused alone, with its reason; a frame goes as Arrow. What
        breaks off is sent again only where the source has an event id, which makes every event count once.

        >>> pushed = client.push("purchases", [
        ...     {"purchase_id": "p7", "bought_at": "2026-01-05T10:40:00Z", "user_id": "bob", "amount": 5.0},
        ...     {"purchase_id": "p8", "bought_at": "yesterday", "user_id": "bob", "amount": 5.0},
        ... ])
        >>> pushed
        PushResult(source='purchases', acknowledged=1, refused=1)
        >>> pushed.refused[0].reason
        'column bought_at: ...'

        The token makes a read wait until it sees them:

        >>> result = client.read("fraud", {"user_id": "bob", "basket_size": 1}, token=pushed.token,
        ...                      at="2026-01-05T11:00:00Z")
        >>> result[0]["user_spending__amount_sum_1h"]
        5.0
        """
        definition = self._definition("source", source)
        return ingest.push(self._transport, source, rows, definition, batch_rows)

    def read(
        self,
        service: str,
        rows: Rows | Frame,
        *,
        at: Moment | None = None,
        token: str | None = None,
        service_hash: str | None = None,
    ) -> ReadResult:
        """Reads the features of a service for one row or many: keys and request columns in, features out.

        `at` is the moment to answer for, by default now; only events before it count. `token` is that of a push whose
        events must be seen. `service_hash` asks an earlier version of the service.

        >>> result = client.read("fraud", [{"user_id": "ada", "basket_size": 3}], at="2026-01-05T11:00:00Z")
        >>> result.columns[-1]
        'basket_size'
        >>> result.freshness[0]["user_spending"].age
        datetime.timedelta(seconds=1800)
        >>> result.to_arrow(keys=True).column_names[:2]
        ['user_id', 'user_spending__count_1h']

        A key may be a list of entities; then what depends on it is a list in the same order:

        >>> both = client.read("fraud", {"user_id": ["ada", "nobody"], "basket_size": 3}, at="2026-01-05T11:00:00Z")
        >>> both[0]["user_spending__count_7d"]
        [2, 0]
        >>> str(both.to_arrow().schema.field("user_spending__count_7d").type)
        'list<item: int64>'
        """
        asked = frames.to_rows(rows)
        body = given(service=service, rows=asked, at=moment_text(at), token=token, service_hash=service_hash)
        answer = self._transport.json("POST", "features/read", body, safe=True)
        types = {} if "types" in answer else self._column_types(service, answer["service_hash"])
        return ReadResult.of(answer, asked, types)

    def training_set(
        self,
        service: str,
        spine: str | Frame | Rows,
        *,
        time: str,
        as_of: str = "event_time",
        watermarks: Mapping[str, int] | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        progress: Progress = None,
    ) -> TrainingSet:
        """A point-in-time-correct training set: for every row of the spine, the features at the moment in `time`.

        `spine` holds keys, a moment, request columns and labels. It is the name of a table, a query (a text that
        starts with SELECT or WITH), or a frame or rows, which are loaded into a table named after their content first.
        `start` and `end` keep the rows from one moment on and before another. With `as_of="arrival"` only events
        count that had arrived before `watermarks`.

        >>> spine = [{"user_id": "ada", "asked_at": "2026-01-05T10:45:00Z", "basket_size": 2, "label": 0}]
        >>> training = client.training_set("fraud", spine, time="asked_at")
        >>> table = training.to_arrow()
        >>> table.column("user_spending__amount_sum_1h").to_pylist()
        [15.5]
        >>> training.rows
        1
        >>> client.training_set("fraud", "SELECT * FROM asked", time="asked_at").to_pandas().shape
        (2, 10)
        """
        if as_of not in ("event_time", "arrival"):
            raise InvalidInput(f"as_of {as_of} does not exist", hint="write event_time or arrival")
        body = given(
            service=service,
            spine=self._spine(spine, time),
            time=time,
            as_of=as_of,
            watermarks=None if watermarks is None else dict(watermarks),
            **{"from": moment_text(start), "to": moment_text(end)},
        )
        return TrainingSet(self._transport, body, progress)

    def _spine(self, spine: str | Frame | Rows, time: str) -> dict[str, str]:
        if isinstance(spine, str):
            is_query = spine.lstrip("( \n\t").partition(" ")[0].strip().upper() in ("SELECT", "WITH", "VALUES")
            is_query = is_query or any(letter.isspace() for letter in spine.strip())
            return {"sql": spine} if is_query else {"table": spine}
        table = frames.to_table(spine) if frames.is_frame(spine) else frames.rows_to_table(spine, time)
        name = f"spine_{frames.digest(table)[:32]}"
        self.load(name, table)
        return {"table": name}

    def load(self, table: str, data: Frame | str | os.PathLike[str], *, load_id: str | None = None) -> LoadResult:
        """Loads a frame or a file (Parquet, CSV, JSON lines) into a table: all rows or none, the same content once.

        The name of a source loads that source's history.

        >>> import pyarrow
        >>> client.load("countries", pyarrow.table({"country": ["nl", "de"]})).rows
        2
        >>> client.load("countries", pyarrow.table({"country": ["nl", "de"]})).already_loaded
        True
        """
        params = given(load_id=load_id)
        content: bytes | Callable[[], Iterator[bytes]]
        if isinstance(data, (str, os.PathLike)):
            path = os.fspath(data)
            params["format"] = _format(path)
            if not os.path.isfile(path):
                raise InvalidInput(f"{path}: there is no such file")
            content = partial(_pieces, path)
        else:
            found = frames.to_table(data)
            params["format"] = "parquet"
            # The bytes of a Parquet file differ from version to version of its writer; the content does not.
            params.setdefault("load_id", f"frame-{frames.digest(found)}")
            buffer = io.BytesIO()
            pyarrow.parquet.write_table(found, buffer, compression="zstd")
            content = buffer.getvalue()
        headers = {"content-type": "application/octet-stream"}
        where = f"tables/{segment(table)}/load"
        # Safe: under one load id the rows are loaded once.
        answer = self._transport.bytes("POST", where, content, headers=headers, params=params, safe=True, long=True)
        return LoadResult.of(answer)

    def refresh(self, source: str, *, timeout: float = 3_600.0) -> Refresh:
        """Loads what is new of a source whose history lies elsewhere, each file or version once, and waits for it.

        What is wrong with a file does not stop the others: it is in `problems`.

        >>> import pathlib, tempfile
        >>> folder = tempfile.mkdtemp(dir=allowed_folder)
        >>> scans = shipway.Source(
        ...     "scans",
        ...     columns={"scanned_at": "timestamp", "parcel": "text"},
        ...     event_time="scanned_at",
        ...     batch=shipway.Batch(files=f"{folder}/*.csv", columns={"scanned_at": "at"}),
        ... )
        >>> _ = client.apply(shipway.Definitions(scans))
        >>> _ = pathlib.Path(folder, "monday.csv").write_text("at,parcel\\n2026-01-05T10:00:00Z,p1\\n")
        >>> client.refresh("scans").failed
        0
        >>> client.batch_status("scans").rows
        1
        """
        deadline = clock.monotonic() + timeout
        job = self._transport.json("POST", f"sources/{segment(source)}/refresh", {}, safe=True)
        while job["state"] in ("queued", "running"):
            if clock.monotonic() > deadline:
                message = f"source {source} is still looking for news after {timeout:g} s"
                raise ServerTimeout(message, hint=f"it goes on as job {job['id']}")
            clock.sleep(_POLL_SECONDS)
            job = self._transport.get(f"jobs/{segment(job['id'])}")
        if job["state"] == "done":
            return Refresh.of(job["result"])
        problem = job.get("error") or {"message": f"job {job['id']} was {job['state']}"}
        raise ShipwayError(problem["message"], hint=problem.get("hint"), code=problem.get("code"))

    def batch_status(self, source: str) -> BatchStatus:
        """How a source whose history lies elsewhere stands: what is loaded of it, and what is wrong."""
        return BatchStatus.of(self._transport.get(f"sources/{segment(source)}"))

    def tables(self) -> list[Table]:
        """The tables: histories of sources, spines, training sets, prediction logs.

        >>> [table.name for table in client.tables() if table.name == "purchases"]
        ['purchases']
        """
        return [Table.of(table) for table in self._transport.get("tables")["tables"]]

    def sql(self, query: str) -> pa.Table:
        """Asks the tables a question in SQL, read only, and returns the answer as an Arrow table.

        >>> client.sql("SELECT count(*) AS purchases FROM purchases WHERE user_id = 'ada'").to_pylist()
        [{'purchases': 2}]
        """
        schema: list[pa.Schema] = []
        with self._transport.arrow("sql", {"query": query}) as response:
            batches = list(arrow_batches(response, schema))
        return pa.Table.from_batches(batches, schema[0])

    def status(self) -> Status:
        """What the server holds and how fresh it is.

        >>> "purchases" in [source.name for source in client.status().sources]
        True
        """
        return Status.of(self._transport.get("status"))

    def _definition(self, kind: str, name: str) -> Mapping[str, Any]:
        """The stored form of a definition in force, or nothing when it can not be seen. Asked for once."""
        place = (kind, name)
        if place not in self._definitions:
            try:
                answer = self._transport.get(f"definitions/{kind}/{segment(name)}")
            except (NotFound, Forbidden):
                # Whoever asked is about to ask for the thing itself, and is told what is wrong there.
                return {}
            self._definitions[place] = {**(answer.get("definition") or {}), "hash": answer.get("hash")}
        return self._definitions[place]

    def _column_types(self, service: str, service_hash: str) -> dict[str, pa.DataType | None]:
        definition = self._definition("service", service)
        if definition.get("hash") != service_hash:
            self._definitions.pop(("service", service), None)
            definition = self._definition("service", service)
        if definition.get("hash") != service_hash:
            return {}
        return {column["name"]: frames.arrow_type(column["data_type"]) for column in definition["columns"]}


def _proposal(definitions: Proposal, prune: bool) -> dict[str, Any]:
    if isinstance(definitions, Definitions):
        files = [{"path": "definitions", "text": definitions.to_yaml()}]
    elif isinstance(definitions, (str, os.PathLike)):
        files = read_files([definitions])
    else:
        files = read_files(definitions)
    return {"files": files, "prune": prune}




def _pieces(path: str) -> Iterator[bytes]:
    """A file piece by piece: it may be larger than the memory."""
    with open(path, "rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece



def _format(path: str) -> str:
    endings = {"csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl", "parquet": "parquet"}
    ending = path.rpartition(".")[2]
    if ending not in endings:
        message = f"{path}: the format is not clear from the name"
        raise InvalidInput(message, hint="name it .parquet, .csv or .jsonl")
    return endings[ending]
