"""What a read, a push and a prediction answer."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import pyarrow as pa

from shipway import display, frames


@dataclass(frozen=True)
class ViewFreshness:
    """How fresh one view is for one key.

    `event_time` is that of the newest event of the key before the moment; `None` when there is none. `fresh` says
    whether the age is within the view's objective; without an objective it always is.
    """

    view: str
    event_time: datetime.datetime | None
    age: datetime.timedelta | None
    fresh: bool

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ViewFreshness:
        age = body.get("age_us")
        return cls(
            view=body["view"],
            event_time=frames.optional_datetime(body.get("event_time")),
            age=None if age is None else datetime.timedelta(microseconds=age),
            fresh=body["fresh"],
        )


Freshness = Union[ViewFreshness, "list[ViewFreshness]"]
"""How fresh one view is for a row: for its key, or for each entity that it lists."""


def _freshness(body: Mapping[str, Any]) -> Freshness:
    if not isinstance(body["fresh"], list):
        return ViewFreshness.of(body)
    lists = {name: value for name, value in body.items() if isinstance(value, list)}
    each = [dict(zip(lists, values)) for values in zip(*lists.values())]
    return [ViewFreshness.of({**body, **one}) for one in each]


@dataclass(frozen=True, repr=False)
class ReadResult:
    """The features of a service for each row that was asked for, in its order.

    Iterate over it, or index it, for one mapping per row; or turn all of it into a frame. Where a row asks for a list of
    entities, what depends on them is a list in their order, in a frame as well.
    """

    service: str
    service_hash: str
    """The version that answered. A model is bound to the version that it was trained with."""
    at: datetime.datetime
    """The moment that every value belongs to: only events strictly before it count."""
    columns: list[str]
    """`view__feature`, then the request columns: the order in which a model takes them."""
    values: list[list[Any]]
    """One list per row, as `columns`."""
    freshness: list[dict[str, Freshness]]
    """Per row: how fresh each view is, by its name; a list where the row lists entities of the view."""
    watermarks: dict[str, int]
    """Exactly the events with an arrival before these are in the values."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The rows of the request."""
    kinds: list[pa.DataType | None] = field(default_factory=list)
    """The Arrow types of `columns`, as far as they are known; of one entity's value where a row lists entities."""
    listed: list[list[bool]] = field(default_factory=list)
    """One list per row, as `columns`: where there is one value for each entity of a list."""

    @classmethod
    def of(
        cls, body: Mapping[str, Any], asked: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType | None]
    ) -> ReadResult:
        """Reads an answer. `types` are for the answer of a server that does not say them itself."""
        columns = list(body["columns"])
        kinds = [types.get(column) for column in columns]
        if "types" in body:
            kinds = [frames.arrow_type(word) for word in body["types"]]
        freshness = [{view["view"]: _freshness(view) for view in row.get("views", ())} for row in body["rows"]]
        listed = [_listed(columns, views) for views in freshness]
        return cls(
            service=body["service"],
            service_hash=body["service_hash"],
            at=frames.to_datetime(body["at"]),
            columns=columns,
            values=[
                [
                    [frames.from_json(item, kind) for item in value] if is_listed else frames.from_json(value, kind)
                    for value, kind, is_listed in zip(row["values"], kinds, places)
                ]
                for row, places in zip(body["rows"], listed)
            ],
            freshness=freshness,
            watermarks=dict(body["watermarks"]),
            asked=[dict(row) for row in asked],
            kinds=kinds,
            listed=listed,
        )

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.to_dicts())

    def __getitem__(self, row: int) -> dict[str, Any]:
        return dict(zip(self.columns, self.values[row]))

    @property
    def stale(self) -> list[tuple[int, str]]:
        """The rows and views that are not fresh."""
        return [
            (row, view)
            for row, views in enumerate(self.freshness)
            for view, found in views.items()
            if not all(one.fresh for one in _each(found))
        ]

    def to_dicts(self, *, keys: bool = False) -> list[dict[str, Any]]:
        """One mapping per row. With `keys`, what was asked comes first."""
        asked = self.asked if keys else [{}] * len(self)
        return [{**question, **dict(zip(self.columns, row))} for question, row in zip(asked, self.values)]

    def to_arrow(self, *, keys: bool = False) -> pa.Table:
        """An Arrow table with the columns in a model's order. With `keys`, what was asked comes first."""
        names = self._keys() if keys else []
        rows = [[question.get(name) for name in names] + row for question, row in zip(self.asked, self.values)]
        kinds: list[pa.DataType | None] = [None] * len(names)
        asked = [[isinstance(question.get(name), list) for name in names] for question in self.asked]
        listed = [keys + places for keys, places in zip(asked, self.listed)]
        return frames.to_arrow(names + self.columns, kinds + self.kinds, rows, listed)

    def to_pandas(self, *, keys: bool = False) -> Any:
        """A pandas frame; needs pandas. With `keys`, what was asked comes first."""
        return frames.to_pandas(self.to_arrow(keys=keys))

    def to_polars(self, *, keys: bool = False) -> Any:
        """A polars frame; needs polars. With `keys`, what was asked comes first."""
        return frames.to_polars(self.to_arrow(keys=keys))

    def _keys(self) -> list[str]:
        names = dict.fromkeys(name for row in self.asked for name in row)
        return [name for name in names if name not in self.columns]

    def __repr__(self) -> str:
        return f"ReadResult(service={self.service!r}, rows={len(self)}, columns={len(self.columns)}, at={self.at})"

    def _repr_html_(self) -> str:
        names = self._keys()
        rows = ([question.get(name) for name in names] + row for question, row in zip(self.asked, self.values))
        stale = len(self.stale)
        note = f"not fresh: {stale} of {sum(map(len, self.freshness))} views of these rows" if stale else None
        caption = f"{self.service} at {self.at.isoformat()}"
        return display.table(names + self.columns, rows, caption=caption, note=note)


def _each(freshness: Freshness) -> list[ViewFreshness]:
    return freshness if isinstance(freshness, list) else [freshness]


def _listed(columns: Sequence[str], views: Mapping[str, Freshness]) -> list[bool]:
    """Which columns have a value for each entity: those of the views whose freshness is told for each."""
    by_length = sorted(views, key=len, reverse=True)

    def is_listed(column: str) -> bool:
        view = next((view for view in by_length if column.startswith(f"{view}__")), None)
        return view is not None and isinstance(views[view], list)

    return [is_listed(column) for column in columns]


@dataclass(frozen=True)
class RefusedRow:
    """An event that does not fit its source: its position in what was pushed, from 0, and why."""

    index: int
    reason: str


@dataclass(repr=False)
class PushResult:
    """What became of the events that were pushed. `acknowledged` and `refused` together are all of them."""

    source: str
    acknowledged: int = 0
    """Events that are durable, whatever became of them below."""
    duplicates: int = 0
    """Of these, events whose id was there before: they count once."""
    quarantined: int = 0
    """Of these, events too far in the future: they are in the table `<source>__quarantine`."""
    late: int = 0
    """Of these, events older than the retention: they are in the table `<source>__late`."""
    refused: list[RefusedRow] = field(default_factory=list)
    token: str | None = None
    """Give it to a read or a prediction that must see these events."""

    def add(self, body: Mapping[str, Any], before: int) -> None:
        """Counts the answer for one batch that had `before` events in front of it."""
        self.acknowledged += body["acknowledged"]
        self.duplicates += body["duplicates"]
        self.quarantined += body["quarantined"]
        self.late += body["late"]
        self.refused.extend(RefusedRow(before + row["index"], row["reason"]) for row in body["refused"])
        self.token = body["token"]

    def __repr__(self) -> str:
        counts = {
            "acknowledged": self.acknowledged,
            "duplicates": self.duplicates,
            "quarantined": self.quarantined,
            "late": self.late,
            "refused": len(self.refused),
        }
        shown = ", ".join(f"{name}={count}" for name, count in counts.items() if count or name == "acknowledged")
        return f"PushResult(source={self.source!r}, {shown})"

    def _repr_html_(self) -> str:
        if not self.refused:
            return f"<div>{self!r}</div>".replace("'", "")
        rows = [(row.index, row.reason) for row in self.refused]
        return display.table(("row", "refused because"), rows, caption=repr(self))


@dataclass(frozen=True, repr=False)
class PredictionResult:
    """Predictions, one per row asked for, in its order. Iterate over it or index it for them."""

    deployment: str
    model: str
    version: int
    service_hash: str | None
    at: datetime.datetime
    predictions: list[Any]
    """Per row a number, or a list of numbers if the model has several outputs; of an ensemble, its outputs by their names."""
    request_id: str
    """Names this answer in the prediction log."""
    freshness: list[dict[str, ViewFreshness]]
    """Per row: how fresh each view was, by its name; empty for a deployment without a service."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    variant: str = "stable"
    """As what that version answered: `stable`, or `canary` while it is being launched."""

    @classmethod
    def of(cls, body: Mapping[str, Any], asked: Sequence[Mapping[str, Any]]) -> PredictionResult:
        return cls(
            deployment=body["deployment"],
            model=body["model"],
            version=body["version"],
            service_hash=body.get("service_hash"),
            at=frames.to_datetime(body["at"]),
            predictions=[_numbers(prediction) for prediction in body["predictions"]],
            request_id=body["request_id"],
            freshness=[{view["view"]: ViewFreshness.of(view) for view in row} for row in body["feature_age"]],
            asked=[dict(row) for row in asked],
            variant=body.get("variant", "stable"),
        )

    def __len__(self) -> int:
        return len(self.predictions)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.predictions)

    def __getitem__(self, row: int) -> Any:
        return self.predictions[row]

    def __repr__(self) -> str:
        return (
            f"PredictionResult(deployment={self.deployment!r}, model={self.model!r}, version={self.version}, "
            f"rows={len(self)})"
        )

    def _repr_html_(self) -> str:
        names = list(dict.fromkeys(name for row in self.asked for name in row))
        rows = (
            [row.get(name) for name in names] + [prediction] for row, prediction in zip(self.asked, self.predictions)
        )
        caption = f"{self.deployment}: {self.model} version {self.version}"
        return display.table([*names, "prediction"], rows, caption=caption)


def _numbers(prediction: Any) -> Any:
    """Not-a-number and infinity come as text. Outputs of an ensemble have types of their own and stay as they are."""
    if isinstance(prediction, dict):
        return prediction
    if isinstance(prediction, list):
        return [_numbers(number) for number in prediction]
    return None if prediction is None else float(prediction)
