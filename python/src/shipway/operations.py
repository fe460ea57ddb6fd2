"""The operations that a view aggregates with.

A plain word does for those without a parameter; the helpers check the parameter of the others and complete in an
editor.

>>> from shipway.operations import approx_quantile, avg, last_k
>>> [str(operation) for operation in (avg, last_k(5), approx_quantile(0.95))]
['avg', 'last_k(5)', 'approx_quantile(0.95)']
>>> approx_quantile(0.95).feature_word
'approx_quantile_95'
>>> last_k(0)
Traceback (most recent call last):
shipway.errors.InvalidDefinition: error: last_k(0): k is a whole number from 1 to 1000
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from shipway.errors import InvalidDefinition
from shipway.names import nearest_hint

_PLAIN = (
    "count", "sum", "avg", "min", "max", "var", "stddev", "skew", "kurtosis", "first", "last",
    "distinct_count", "approx_distinct",
)  # fmt: skip
_COUNTED = ("first_k", "last_k", "top_k", "bottom_k", "histogram")
WORDS = (*_PLAIN, *_COUNTED, "approx_quantile")
"""Every word for an operation."""

_WRITTEN = re.compile(r"\s*([a-z_]+)\s*(?:\(\s*([^()\s]+)\s*\))?\s*")
_BOUND = 1_000_000
_MOST = 1_000


@dataclass(frozen=True)
class Operation:
    """One operation, as it is written in a definition."""

    word: str
    parameter: str | None = None

    def __str__(self) -> str:
        return self.word if self.parameter is None else f"{self.word}({self.parameter})"

    def __repr__(self) -> str:
        return str(self)

    @property
    def feature_word(self) -> str:
        """What stands for it in a feature's name: `last_k_5`, `approx_quantile_95`."""
        if self.parameter is None or self.word == "distinct_count":
            return self.word
        if self.word == "approx_quantile":
            digits = format(Decimal(self.parameter), "f").partition(".")[2].rstrip("0")
            return f"{self.word}_{digits.ljust(2, '0')}"
        return f"{self.word}_{self.parameter}"

    @classmethod
    def parse(cls, written: str | Operation) -> Operation:
        """Reads an operation as it is written: `avg`, `last_k(5)`."""
        if isinstance(written, Operation):
            return written
        match = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
        if match is None or match[1] not in WORDS:
            word = match[1] if match else str(written)
            otherwise = f"the operations are {', '.join(WORDS)}"
            raise InvalidDefinition(f"operation {word} does not exist", hint=nearest_hint(word, WORDS, otherwise))
        word, parameter = match[1], match[2]
        if word == "approx_quantile":
            return approx_quantile(_number(word, parameter))
        if word in _COUNTED:
            return _counted(word, _whole(word, parameter))
        if parameter is None:
            return cls(word)
        if word == "distinct_count":
            return distinct_count(_whole(word, parameter))
        raise InvalidDefinition(f"{word}({parameter}): {word} has no parameter", hint=f"write {word}")


def _whole(word: str, parameter: str | None) -> int:
    if parameter is None:
        raise InvalidDefinition(f"{word} needs a parameter", hint=f"write {word}(5)")
    if not parameter.isdecimal():
        raise InvalidDefinition(f"{word}({parameter}): the parameter is a whole number from 1")
    return int(parameter)


def _number(word: str, parameter: str | None) -> float:
    if parameter is None:
        raise InvalidDefinition(f"{word} needs a parameter", hint=f"write {word}(0.95)")
    try:
        return float(parameter)
    except ValueError:
        raise InvalidDefinition(f"{word}({parameter}): q is a number between 0 and 1") from None


def _counted(word: str, k: int) -> Operation:
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= _MOST:
        raise InvalidDefinition(f"{word}({k}): k is a whole number from 1 to {_MOST}")
    return Operation(word, str(k))


def first_k(k: int) -> Operation:
    """The first k values in the window, the earliest first."""
    return _counted("first_k", k)


def last_k(k: int) -> Operation:
    """The last k values in the window, the latest first."""
    return _counted("last_k", k)


def top_k(k: int) -> Operation:
    """The k greatest values in the window."""
    return _counted("top_k", k)


def bottom_k(k: int) -> Operation:
    """The k smallest values in the window."""
    return _counted("bottom_k", k)


def histogram(k: int) -> Operation:
    """How often each of the k most frequent values comes."""
    return _counted("histogram", k)


def approx_quantile(q: float) -> Operation:
    """The value below which the fraction q of the values lies, within the error of a sketch."""
    if isinstance(q, bool) or not isinstance(q, (int, float)) or not 0 < q < 1:
        raise InvalidDefinition(f"approx_quantile({q}): q is a number between 0 and 1")
    if round(q, 6) != q:
        raise InvalidDefinition(f"approx_quantile({q}): q has at most six digits after the point")
    return Operation("approx_quantile", format(Decimal(repr(float(q))), "f"))


def distinct_count(bound: int | None = None) -> Operation:
    """How many different values there are, exactly, up to `bound` of them."""
    if bound is None:
        return Operation("distinct_count")
    if isinstance(bound, bool) or not isinstance(bound, int) or not 1 <= bound <= _BOUND:
        hint = f"write a number from 1 to {_BOUND}"
        raise InvalidDefinition(f"distinct_count({bound}): the bound is a whole number", hint=hint)
    return Operation("distinct_count", str(bound))


# Named like the operations; where that would hide what Python means by sum, min and max, say `operations.sum`.
count = Operation("count")
sum = Operation("sum")
avg = Operation("avg")
min = Operation("min")
max = Operation("max")
var = Operation("var")
stddev = Operation("stddev")
skew = Operation("skew")
kurtosis = Operation("kurtosis")
first = Operation("first")
last = Operation("last")
approx_distinct = Operation("approx_distinct")
