"""Sinks: how they are, and what was sent."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload
from urllib.parse import quote

from shipway import display, frames
from shipway._http import Transport
from shipway.streams import StreamFailure


@dataclass(frozen=True)
class LeftOut:
    """Rows that could not be sent."""

    rows: int
    code: str
    reason: str
    """Why not, of the last one."""


@dataclass(frozen=True, repr=False)
class SinkStatus:
    """How a sink is."""

    sink: str
    from_: str
    """What it sends: `view plane_legs`, `deployment late`, `table orders`."""
    to: str
    """Where to: `broker/topic`, or `table plane_rows`."""
    state: str
    """`starting`, `sending` or `failing`."""
    failure: StreamFailure | None
    """Why it is failing, if it is."""
    waits_for: str | None
    """What it waits for before it can send anything."""
    position: int | None
    """The next record of the source's log, or version of the table, to be dealt with."""
    lag: int | None
    """Records or versions from there on."""
    unit: str | None
    """What is counted: `records` or `versions`."""
    rows: int
    """Rows that were sent since the server started."""
    left_out: LeftOut | None
    """Rows that could not be sent since then."""
    resending: bool
    """The row of every key is being sent once more."""
    skipped: int
    """Records or versions that were gone before they were read."""
    last_sent: datetime.datetime | None
    """When rows were last sent."""
    schema: str | None
    """The schema of the messages, where they are of Avro and some were sent."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> SinkStatus:
        failure = None
        if body["state"] == "failing":
            since = frames.to_datetime(body["since"])
            failure = StreamFailure(since, body["code"], body["error"], body.get("hint"))
        to, left_out = body["to"], body.get("left_out")
        named = {name: body.get(name) for name in ("waits_for", "position", "lag", "unit", "schema")}
        return cls(
            sink=body["sink"],
            from_=" ".join(next(iter(body["from"].items()))),
            to=f"table {to['table']}" if "table" in to else f"{to['broker']}/{to['topic']}",
            state=body["state"],
            failure=failure,
            rows=body["rows"],
            left_out=None if left_out is None else LeftOut(left_out["rows"], left_out["code"], left_out["reason"]),
            resending=body["resending"],
            skipped=body["skipped"],
            last_sent=frames.optional_datetime(body.get("last_sent")),
            **named,
        )

    def __repr__(self) -> str:
        trouble = f", code={self.failure.code!r}" if self.failure else ""
        return f"SinkStatus(sink={self.sink!r}, state={self.state!r}, lag={self.lag}, rows={self.rows}{trouble})"

    def _repr_html_(self) -> str:
        return _table([self])


class SinkList(Sequence[SinkStatus]):
    """Sinks, by name. Shows itself as a table in a notebook."""

    def __init__(self, sinks: Sequence[SinkStatus]) -> None:
        self._sinks = tuple(sinks)

    def __len__(self) -> int:
        return len(self._sinks)

    @overload
    def __getitem__(self, index: int) -> SinkStatus: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[SinkStatus]: ...

    def __getitem__(self, index: int | slice) -> SinkStatus | Sequence[SinkStatus]:
        return self._sinks[index]

    def __iter__(self) -> Iterator[SinkStatus]:
        return iter(self._sinks)

    @property
    def failing(self) -> list[SinkStatus]:
        """Those that cannot go on, or have missed something."""
        return [sink for sink in self if sink.failure]

    def __repr__(self) -> str:
        return f"SinkList({', '.join(f'{sink.sink} {sink.state}' for sink in self)})"

    def _repr_html_(self) -> str:
        return _table(self) if self._sinks else "<div>no sinks</div>"


class SinkCalls:
    """What a client asks about sinks."""

    _transport: Transport

    def sinks(self) -> SinkList:
        """How every sink is; one that cannot go on says why.

        >>> topic = shipway.Topic(broker="elsewhere", topic="asked", format="json")
        >>> _ = client.apply(shipway.Definitions(shipway.Sink("asked_again", table="asked", to=topic)))
        >>> client.sinks()[0].to
        'elsewhere/asked'
        """
        return SinkList([SinkStatus.of(sink) for sink in self._transport.get("sinks")["sinks"]])

    def resend_sink(self, sink: str) -> SinkStatus:
        """Has the row of every key of a sink's view sent once more, beside those whose events come: for a topic that is new, and
        after something was skipped.

        >>> topic = shipway.Topic(broker="elsewhere", topic="asked", format="json")
        >>> _ = client.apply(shipway.Definitions(shipway.Sink("asked_again", table="asked", to=topic)))
        >>> client.resend_sink("asked_again")
        Traceback (most recent call last):
        shipway.errors.Conflict: error: sink asked_again cannot send its rows once more...
        """
        return SinkStatus.of(self._transport.json("POST", _path(sink, "resend"), {}, safe=True))

    def acknowledge_sink(self, sink: str) -> SinkStatus:
        """Says that it is known what a sink has skipped: it is told no more.

        >>> topic = shipway.Topic(broker="elsewhere", topic="asked", format="json")
        >>> _ = client.apply(shipway.Definitions(shipway.Sink("asked_again", table="asked", to=topic)))
        >>> client.acknowledge_sink("asked_again").skipped
        0
        """
        return SinkStatus.of(self._transport.json("POST", _path(sink, "acknowledge"), {}, safe=True))


def _path(sink: str, what: str) -> str:
    return f"sinks/{quote(sink, safe='')}/{what}"


def _table(sinks: Sequence[SinkStatus]) -> str:
    columns = ("sink", "from", "to", "state", "lag", "rows", "left out", "skipped", "last sent")
    rows = [
        (each.sink, each.from_, each.to, _state(each), each.lag, each.rows, each.left_out.rows if each.left_out else 0,
         each.skipped, None if each.last_sent is None else each.last_sent.isoformat())
        for each in sinks
    ]  # fmt: skip
    return display.table(columns, rows)


def _state(sink: SinkStatus) -> str:
    if sink.failure is not None:
        hint = f"\nhint: {sink.failure.hint}" if sink.failure.hint else ""
        return f"failing: {sink.failure.error}{hint}"
    waiting = f", waits for {sink.waits_for}" if sink.waits_for else ""
    return f"{sink.state}{', resending' if sink.resending else ''}{waiting}"
