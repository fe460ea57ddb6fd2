"""One entry of a view's `aggregate`: every operation over every window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from shipway.definitions.parts import present, required
from shipway.errors import InvalidDefinition
from shipway.names import check_fields, checked_name, checked_window, listed
from shipway.operations import Operation

_BOUND = 1_000_000


@dataclass(frozen=True, init=False)
class Aggregate:
    """Operations over windows of one column, or of the events themselves.

    `by` gives a map with one value for each value of that column. `over` is for list columns: `elements` counts each
    element, `positions` goes position by position and gives a list. `name` is for an entry that makes one feature.

    >>> from shipway import Aggregate
    >>> Aggregate(operations=["count"], windows=["30m", "lifetime"]).feature_names
    ['count_30m', 'count_lifetime']
    >>> Aggregate("dest", operations=["distinct_count"], windows=["7d"], bound=500).to_dict()
    {'column': 'dest', 'operations': ['distinct_count'], 'windows': ['7d'], 'bound': 500}
    >>> Aggregate("dep_delay", operations=["average"], windows=["1h"])
    Traceback (most recent call last):
    shipway.errors.InvalidDefinition: error: operation average does not exist
    hint: did you mean avg?
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("column", "operations", "windows", "by", "over", "bound", "as")

    column: str | None
    operations: tuple[Operation, ...]
    windows: tuple[str, ...]
    by: str | None
    over: str | None
    bound: int | None
    name: str | None

    def __init__(
        self,
        column: str | None = None,
        *,
        operations: Iterable[str | Operation],
        windows: Iterable[str],
        by: str | None = None,
        over: str | None = None,
        bound: int | None = None,
        name: str | None = None,
    ) -> None:
        found = tuple(Operation.parse(operation) for operation in listed("operations", operations))  # type: ignore[arg-type]
        spans = tuple(checked_window("aggregate", window) for window in listed("windows", windows))
        fields: dict[str, Any] = {"column": column, "operations": found, "windows": spans}
        fields |= {"by": by, "over": over, "bound": bound, "name": name}
        for field, value in fields.items():
            object.__setattr__(self, field, value)
        self._check()

    def _check(self) -> None:
        for what, name in (("column", self.column), ("by", self.by), ("feature", self.name)):
            if name is not None:
                checked_name(what, name)
        for operation in self.operations:
            if self.column is None and operation.word != "count":
                hint = "say which one with `column`; without one, events are counted"
                raise InvalidDefinition(f"operation {operation} needs a column", hint=hint)
        if self.over is not None and self.over not in ("elements", "positions"):
            raise InvalidDefinition(f"over {self.over} does not exist", hint="write elements or positions")
        if self.bound is not None:
            if not any(operation.word == "distinct_count" for operation in self.operations):
                hint = "remove it, or add distinct_count to operations"
                raise InvalidDefinition("bound belongs to distinct_count only", hint=hint)
            if any(operation.word == "distinct_count" and operation.parameter for operation in self.operations):
                hint = "remove `bound`, or write distinct_count"
                raise InvalidDefinition("the bound of distinct_count is given twice", hint=hint)
            if isinstance(self.bound, bool) or not isinstance(self.bound, int) or not 1 <= self.bound <= _BOUND:
                hint = f"write a number from 1 to {_BOUND}"
                raise InvalidDefinition(f"bound {self.bound} is not a whole number in its range", hint=hint)
        made = len(self.operations) * len(self.windows)
        if self.name is not None and made > 1:
            hint = "give it an entry with one operation and one window"
            raise InvalidDefinition(f"name {self.name} names one feature, this entry makes {made}", hint=hint)

    @property
    def feature_names(self) -> list[str]:
        """The names of its features, operation by operation, window by window."""
        if self.name is not None:
            return [self.name]
        by = f"_by_{self.by}" if self.by else ""
        column = f"{self.column}_" if self.column else ""
        return [
            f"{column}{operation.feature_word}{by}_{window}" for operation in self.operations for window in self.windows
        ]

    def to_dict(self) -> dict[str, Any]:
        """The entry as it is written in YAML."""
        return present(
            {
                "column": self.column,
                "operations": [str(operation) for operation in self.operations],
                "windows": list(self.windows),
                "by": self.by,
                "over": self.over,
                "bound": self.bound,
                "as": self.name,
            }
        )

    @classmethod
    def from_dict(cls, written: Mapping[str, Any], thing: str = "aggregate") -> Aggregate:
        """Reads what `to_dict` wrote, or a person."""
        check_fields(f"{thing}: aggregate", written, cls.FIELDS)
        try:
            return cls(
                written.get("column"),
                operations=required("aggregate", written, "operations"),
                windows=required("aggregate", written, "windows"),
                by=written.get("by"),
                over=written.get("over"),
                bound=written.get("bound"),
                name=written.get("as"),
            )
        except InvalidDefinition as error:
            raise InvalidDefinition(f"{thing}: {error.message}", hint=error.hint) from None
