"""Sources whose events come from a broker: how their streams are, and what became of dead letters that were read again."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload
from urllib.parse import quote

from shipway import display, frames
from shipway._http import Transport


@dataclass(frozen=True)
class StreamCounts:
    """What became of messages. Together they are all of them."""

    events: int
    """Events that were taken in."""
    duplicates: int
    """Events whose id was there before."""
    repeated: int
    """Messages that were taken in before."""
    quarantined: int
    """Events too far in the future."""
    late: int
    """Events older than the retention."""
    dead: int
    """Messages that are dead letters now."""
    empty: int
    """Messages that said nothing."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> StreamCounts:
        return cls(**{name: body[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class PartitionStatus:
    """A partition that is read."""

    partition: int
    position: int
    """The next message to take in."""
    end: int | None
    """One behind the newest message, as of the last time that the broker was asked."""


@dataclass(frozen=True)
class StreamFailure:
    """Why a stream cannot go on. It tries again by itself."""

    since: datetime.datetime
    code: str
    error: str
    hint: str | None


@dataclass(frozen=True, repr=False)
class StreamStatus:
    """How the stream of a source is."""

    source: str
    broker: str
    topic: str
    format: str
    state: str
    """`joining`, `reading` or `failing`."""
    failure: StreamFailure | None
    """Why it is failing, if it is."""
    lag: int | None
    """Messages that the broker has and the server has not taken in; unknown before the broker was asked."""
    partitions: list[PartitionStatus]
    """The partitions that it reads."""
    counts: StreamCounts
    """What came since the server started."""
    last_message: datetime.datetime | None
    """When the last message was taken in."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> StreamStatus:
        failure = None
        if body["state"] == "failing":
            since = frames.to_datetime(body["since"])
            failure = StreamFailure(since, body["code"], body["error"], body.get("hint"))
        named = {name: body[name] for name in ("source", "broker", "topic", "format", "state")}
        return cls(
            failure=failure,
            lag=body.get("lag"),
            partitions=[
                PartitionStatus(each["partition"], each["position"], each.get("end")) for each in body["partitions"]
            ],
            counts=StreamCounts.of(body["counts"]),
            last_message=frames.optional_datetime(body.get("last_message")),
            **named,
        )

    @property
    def position(self) -> int:
        """Messages that were taken in, or passed over, in all partitions that it reads."""
        return sum(partition.position for partition in self.partitions)

    def __repr__(self) -> str:
        trouble = f", code={self.failure.code!r}" if self.failure else ""
        return f"StreamStatus(source={self.source!r}, state={self.state!r}, lag={self.lag}{trouble})"

    def _repr_html_(self) -> str:
        return _table([self])


class StreamList(Sequence[StreamStatus]):
    """Streams, by the name of their source. Shows itself as a table in a notebook."""

    def __init__(self, streams: Sequence[StreamStatus]) -> None:
        self._streams = tuple(streams)

    def __len__(self) -> int:
        return len(self._streams)

    @overload
    def __getitem__(self, index: int) -> StreamStatus: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[StreamStatus]: ...

    def __getitem__(self, index: int | slice) -> StreamStatus | Sequence[StreamStatus]:
        return self._streams[index]

    def __iter__(self) -> Iterator[StreamStatus]:
        return iter(self._streams)

    @property
    def failing(self) -> list[StreamStatus]:
        """Those that cannot go on."""
        return [stream for stream in self if stream.failure]

    def __repr__(self) -> str:
        return f"StreamList({', '.join(f'{stream.source} {stream.state}' for stream in self)})"

    def _repr_html_(self) -> str:
        return _table(self) if self._streams else "<div>no streams</div>"


@dataclass(frozen=True, repr=False)
class ReplayedLetters:
    """What became of the dead letters of a source that were read again."""

    source: str
    letters: int
    """Letters that were read again."""
    counts: StreamCounts
    """What they are now; those that are dead letters again are behind all others."""

    @classmethod
    def of(cls, source: str, body: Mapping[str, Any]) -> ReplayedLetters:
        return cls(source, body["letters"], StreamCounts.of(body))

    def __repr__(self) -> str:
        return (
            f"ReplayedLetters(source={self.source!r}, letters={self.letters}, events={self.counts.events}, "
            f"dead={self.counts.dead})"
        )

    def _repr_html_(self) -> str:
        counts = self.counts
        columns = ("source", "letters read again", "events", "duplicates", "late", "too early", "empty", "dead letters still")
        row = (self.source, self.letters, counts.events, counts.duplicates, counts.late, counts.quarantined, counts.empty, counts.dead)
        return display.table(columns, [row])


class StreamCalls:
    """What a client asks about streams."""

    _transport: Transport

    def streams(self) -> StreamList:
        """How the streams of all sources are that read from a broker; one that cannot go on says why.

        >>> clicks = shipway.Source(
        ...     "clicks",
        ...     columns={"clicked_at": "timestamp", "page": "text"},
        ...     event_time="clicked_at",
        ...     stream=shipway.Stream(broker="nowhere", topic="clicks", format="json"),
        ... )
        >>> _ = client.apply(shipway.Definitions(clicks))
        >>> client.streams()[0].broker
        'nowhere'
        """
        return StreamList([StreamStatus.of(stream) for stream in self._transport.get("streams")["streams"]])

    def waiting_dead_letters(self, source: str) -> int:
        """How many messages of a source that could not be read wait for a replay. They are in the table
        `<source>__dead_letters`, each with its reason.

        >>> client.waiting_dead_letters("clicks")
        0
        """
        waiting: int = self._transport.get(_path(source, "dead-letters"))["waiting"]
        return waiting

    def replay_dead_letters(self, source: str) -> ReplayedLetters:
        """Reads the dead letters of a source again, as its definition reads messages now, the oldest first: to be called when
        the definition was mended. Each is delivered once, whatever happens in between.

        >>> client.replay_dead_letters("purchases")
        Traceback (most recent call last):
        shipway.errors.NotFound: error: source purchases reads from no topic...
        """
        # Not asked again when the answer breaks off: nothing would count twice, but the counts would be of the rest alone.
        answer = self._transport.json("POST", _path(source, "replay"), {}, safe=False, long=True)
        return ReplayedLetters.of(source, answer)


def _path(source: str, what: str) -> str:
    return f"streams/{quote(source, safe='')}/{what}"


def _table(streams: Sequence[StreamStatus]) -> str:
    columns = ("source", "topic", "state", "lag", "events", "duplicates", "late", "too early", "dead letters", "last message")
    rows = [
        (each.source, f"{each.broker}/{each.topic}", _state(each), each.lag, each.counts.events, each.counts.duplicates,
         each.counts.late, each.counts.quarantined, each.counts.dead,
         None if each.last_message is None else each.last_message.isoformat())
        for each in streams
    ]  # fmt: skip
    return display.table(columns, rows)


def _state(stream: StreamStatus) -> str:
    if stream.failure is None:
        return stream.state
    hint = f"\nhint: {stream.failure.hint}" if stream.failure.hint else ""
    return f"failing: {stream.failure.error}{hint}"
