"""Both sides must have computed the same thing, cell by cell, or their times mean nothing."""

from __future__ import annotations

from pathlib import Path

import numpy
import pyarrow as arrow
import pyarrow.compute as compute
import pyarrow.parquet as parquet


class Unequal(Exception):
    """Two answers that should be one."""


def equal_features(ours: Path, theirs: Path) -> tuple[int, int]:
    """Checks every cell of every column of the two files, in row order; returns how many rows of how many features there are.

    Numbers may differ by float rounding: 1e-6 of the value, or 1e-6 where it is less than 1. All else is equal or wrong.
    """
    columns = parquet.read_schema(ours).names
    missing = set(columns) - set(parquet.read_schema(theirs).names)
    if missing:
        raise Unequal(f"{theirs.name} lacks {sorted(missing)}")
    rows = 0
    for column in columns:
        left, right = (parquet.read_table(path, columns=[column]).column(0).combine_chunks() for path in (ours, theirs))
        rows = len(left)
        if rows != len(right):
            raise Unequal(f"{ours.name} has {rows:,} rows, {theirs.name} has {len(right):,}")
        wrong = _differing(left, right)
        if wrong.any():
            at = int(wrong.argmax())
            raise Unequal(f"{column} differs in {int(wrong.sum()):,} rows, first in row {at}: ours {left[at]}, {theirs.name} {right[at]}")
    features = [column for column in columns if "__" in column]
    if not rows or not features:
        raise Unequal(f"{ours.name} has {rows} rows and {len(features)} features: nothing was compared")
    return rows, len(features)


def _differing(left: arrow.Array, right: arrow.Array) -> numpy.ndarray:
    no_left, no_right = (side.is_null().to_numpy(zero_copy_only=False) for side in (left, right))
    if _is_number(left.type):
        numbers = [compute.fill_null(side.cast("float64", safe=False), 0.0).to_numpy(zero_copy_only=False) for side in (left, right)]
        both_nan = numpy.isnan(numbers[0]) & numpy.isnan(numbers[1])
        near = numpy.abs(numbers[0] - numbers[1]) <= 1e-6 * numpy.maximum(numpy.abs(numbers[1]), 1.0)
        unlike = ~(near | both_nan)
    else:
        same = compute.equal(left.cast(_comparable(left.type)), right.cast(_comparable(left.type)))
        unlike = ~compute.fill_null(same, True).to_numpy(zero_copy_only=False)
    return (no_left != no_right) | (~no_left & ~no_right & unlike)


def _is_number(kind: arrow.DataType) -> bool:
    return arrow.types.is_integer(kind) or arrow.types.is_floating(kind) or arrow.types.is_decimal(kind)


def _comparable(kind: arrow.DataType) -> arrow.DataType:
    return arrow.timestamp("us", tz="UTC") if arrow.types.is_timestamp(kind) else arrow.large_string()
