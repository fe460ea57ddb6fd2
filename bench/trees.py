"""Trees: our engine against the libraries that trained them and ONNX Runtime, one thread each, in turn.

    pip install -r bench/trees-requirements.txt
    cargo build --release --package shipway-runtime --example trees
    python bench/trees.py --example target/release/examples/trees

A binary LightGBM model of 500 trees with 63 leaves and an XGBoost one of 500 trees of depth 6, on 30 features of which one
value in twenty is missing. Each side predicts one row at a time, each time another one, and 1,024 rows at a time. Ours is timed in
Rust, as it is called here; the others are timed in Python, as they are called there, with matrices that are made already: XGBoost by
`inplace_predict`, ONNX Runtime on models of onnxmltools. All sides must predict the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from measure import Lane, Sample, in_turn  # noqa: E402

FEATURES = 30
TREES = 500
ROWS = 1024
# A side is timed for this long, and goes on until it is through with its rows.
SECONDS = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--example", required=True, help="path of the example `trees` of shipway-runtime, optimised")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--folder", type=Path, help="where models are kept; a temporary folder without it")
    arguments = parser.parse_args()
    names = ("lightgbm", "xgboost-cpu", "onnxruntime", "onnxmltools", "numpy")
    print(" · ".join(f"{name} {version(name)}" for name in names) + "\n")
    with tempfile.TemporaryDirectory() as temporary:
        for lane in lanes(Path(arguments.example), arguments.runs, arguments.folder or Path(temporary)):
            print(lane.markdown() + "\n", flush=True)
    return 0


def lanes(example: Path, runs: int, folder: Path) -> Iterator[Lane]:
    """For each model and each number of rows a lane."""
    folder.mkdir(parents=True, exist_ok=True)
    table, label = made_rows()
    rows = table[:ROWS].astype(np.float32)
    rows.astype(np.float64).tofile(folder / "rows.bin")
    for library, predict, native in (trained_lightgbm(folder, table, label), trained_xgboost(folder, table, label)):
        session = one_thread(folder / f"{library}.onnx")
        name = session.get_outputs()[-1].name
        ours = Ours(example, library, folder / native, folder / "rows.bin")
        expected = predict(rows)
        got = session.run([name], {"input": rows})[0][:, 1]
        for words, sum_ in (("ONNX Runtime", float(got.sum())), ("ours", ours.sum())):
            if abs(sum_ - float(expected.sum())) > 1e-3:
                raise SystemExit(f"{library}: {words} predicts something else: {sum_} {expected.sum()}")
        for batch in (1, ROWS):
            sides = {
                "Shipway": lambda batch=batch: ours.sample(batch),
                f"{library}, Python": lambda batch=batch: sample(predict, rows, batch),
                "ONNX Runtime, Python": lambda batch=batch: sample(lambda part: session.run([name], {"input": part}), rows, batch),
            }
            words = "one row at a time" if batch == 1 else f"{ROWS:,} rows at a time"
            yield Lane(f"{library}, {TREES} trees, {words}", "µs a row", True, in_turn(sides, runs))


def made_rows() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    table = random.normal(size=(20_000, FEATURES))
    table[random.random(table.shape) < 0.05] = np.nan
    known = np.nan_to_num(table)
    score = known[:, 0] * known[:, 1] + np.sin(known[:, 2] * 3) + known[:, 3:].sum(1) / 5 + random.normal(size=len(table))
    return table, (score > 0).astype(int)


Trained = tuple[str, Callable[[np.ndarray], np.ndarray], str]
INPUT = [("input", FloatTensorType([None, FEATURES]))]


def trained_lightgbm(folder: Path, table: np.ndarray, label: np.ndarray) -> Trained:
    parameters = {"objective": "binary", "num_leaves": 63, "verbose": -1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(table, label), TREES)
    booster.save_model(folder / "lightgbm.txt")
    model = onnxmltools.convert_lightgbm(booster, initial_types=INPUT, zipmap=False)
    (folder / "lightgbm.onnx").write_bytes(model.SerializeToString())
    return "lightgbm", lambda part: booster.predict(part, num_threads=1), "lightgbm.txt"


def trained_xgboost(folder: Path, table: np.ndarray, label: np.ndarray) -> Trained:
    parameters = {"objective": "binary:logistic", "max_depth": 6}
    booster = xgboost.train(parameters, xgboost.DMatrix(table.astype(np.float32), label), TREES)
    booster.save_model(folder / "xgboost.ubj")
    model = onnxmltools.convert_xgboost(booster, initial_types=INPUT)
    (folder / "xgboost.onnx").write_bytes(model.SerializeToString())
    booster.set_param({"nthread": 1})
    return "xgboost", booster.inplace_predict, "xgboost.ubj"


def one_thread(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


class Ours:
    """The example, which prints the nanoseconds of a row."""

    def __init__(self, example: Path, library: str, model: Path, rows: Path) -> None:
        self.command = [str(example), library, str(model), str(rows), str(FEATURES)]

    def run(self) -> dict:
        return json.loads(subprocess.run(self.command, capture_output=True, text=True, check=True).stdout)

    def sum(self) -> float:
        return self.run()["sum"]

    def sample(self, batch: int) -> Sample:
        return Sample(self.run()[f"ns_row_{batch}"][0] / 1e3)


def sample(predict: Callable[[np.ndarray], object], rows: np.ndarray, batch: int) -> Sample:
    parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        for part in parts[:64]:
            predict(part)
            done += len(part)
    return Sample((time.perf_counter() - began) / done * 1e6)


if __name__ == "__main__":
    sys.exit(main())
