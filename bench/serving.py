"""Models that are served: one row of a booster at a time, against other model servers, and what batching does for single rows."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from importlib.metadata import version

import mlflow
import numpy
import onnx
from onnx import TensorProto, helper

from load import Load
from measure import Goal, Lane, Sample, Side, in_turn
from serving_grpc import over_grpc
from serving_sides import LEAVES, OURS, TREES, alone, deploy, sides
from serving_switch import large_batches, switching
from setting import Setting
from steady import SteadyLoad, closed_then_steady
from tools import LoadGenerator, SteadyGenerator

CONNECTIONS = 16
#: What is wanted of our throughput, against each peer's.
FASTER = {"MLServer": 20.0, "FastAPI": 10.0, "mlflow models serve": 100.0, "Ray Serve": 100.0}
STEADY_P99_US = 2_000.0
FEATURES, WIDTH, LAYERS = 32, 1024, 6
BATCHED_FASTER = 3.0


def serving(setting: Setting) -> Iterator[Lane]:
    """The booster on every server, over both protocols; the network with and without batches, and in large ones; versions that change."""
    yield from trees(setting)
    yield batching(setting)
    yield large_batches(setting, _network(), FEATURES, _onnx_library())
    yield switching(setting)


def trees(setting: Setting) -> Iterator[Lane]:
    """One row a request, on 16 connections, each server on one core; then over gRPC where a server speaks it."""
    closed = Load(LoadGenerator(setting.cache), setting.out, CONNECTIONS, 1, setting.seconds)
    steady = SteadyLoad(SteadyGenerator(setting.cache), setting.out, CONNECTIONS, setting.seconds)
    with sides(setting) as (running, booster, rows):

        def run(side) -> Sample:
            with alone(side, running):
                return closed_then_steady(closed, steady, side.url, "POST", side.path, side.bodies)

        measured = in_turn({side.name: lambda side=side: run(side) for side in running}, setting.runs)
        raw = _raw_microseconds(booster, rows)
        yield _over_rest(measured, raw)
        yield over_grpc(setting, running, rows, booster.predict(rows))


def _over_rest(measured: list[Side], raw: float) -> Lane:
    lane = Lane(f"one row of {TREES} trees of {LEAVES} leaves, {CONNECTIONS} connections, one core", "requests/s", False, measured)
    for side in measured[2:]:
        ratio, wanted = lane.ratio(side), FASTER.get(side.name, 1.0)
        lane.goals.append(Goal(f"at least {wanted:.0f} × {side.name}", f"{ratio:.1f} ×", ratio >= wanted))
    p99 = statistics.median(measured[0].extra("steady p99 us"))
    lane.goals.append(Goal("p99 below 2 ms at half of what saturates it", f"{p99 / 1000:.2f} ms", p99 < STEADY_P99_US))
    lane.notes.extend(
        [
            "JSON in and out, a matrix of one row of 30 columns (FastAPI: its own body; mlflow: dataframe_split); each answer compared with LightGBM's",
            f"raw evaluation by LightGBM from Python, one row, one thread: {raw:.0f} us",
            f"mlflow {version('mlflow')}; the other peers as bench/serving-requirements.txt and bench/serving-frameworks-requirements.txt pin them; every server has core 0, the generator the rest; the others stand still while one is measured",
        ]
    )
    return lane


def _raw_microseconds(booster, rows: numpy.ndarray) -> float:
    taken = []
    for row in rows:
        began = time.perf_counter()
        booster.predict(row.reshape(1, -1), num_threads=1)
        taken.append((time.perf_counter() - began) * 1e6)
    return statistics.median(taken)


def batching(setting: Setting) -> Lane:
    """Single rows of many clients to a network, run alone and run together."""
    closed = Load(LoadGenerator(setting.cache), setting.out, CONNECTIONS * 2, 1, setting.seconds)
    random = numpy.random.default_rng(5)
    bodies = [
        json.dumps({"inputs": [{"name": "x", "shape": [1, FEATURES], "datatype": "FP32", "data": row.tolist()}]})
        for row in random.normal(size=(16, FEATURES)).round(3)
    ]
    with setting.serving("batching", [], environment={"SHIPWAY_RUNTIME__ONNX_LIBRARY": _onnx_library()}) as server:
        for name, options in (("alone", ["--max-batch-rows", "1", "--log-share", "0"]), ("together", ["--max-batch-rows", "32", "--log-share", "0"])):
            log = lambda name=name: mlflow.onnx.log_model(_network(), name="model", registered_model_name=name, pip_requirements=["onnx"])
            deploy(server, name, log, *options)
        measured = in_turn(
            {
                f"{OURS}, batches of at most 32": lambda: closed.run(server.url, "POST", "/v2/models/together/infer", bodies),
                f"{OURS}, each row alone": lambda: closed.run(server.url, "POST", "/v2/models/alone/infer", bodies),
            },
            setting.runs,
        )
    lane = Lane(f"single rows to a network of {LAYERS} layers of {WIDTH}, {CONNECTIONS * 2} connections", "requests/s", False, measured)
    ratio = lane.ratio(measured[1])
    lane.goals.append(Goal(f"batching raises the throughput at least {BATCHED_FASTER:.0f} ×", f"{ratio:.2f} ×", ratio >= BATCHED_FASTER))
    lane.notes.append(f"ONNX Runtime {version('onnxruntime')}, one thread; nothing waits for company: a batch is what came while the one before ran")
    return lane


def _network() -> onnx.ModelProto:
    random = numpy.random.default_rng(3)
    nodes, constants, last = [], [], "x"
    for layer in range(LAYERS):
        inner = WIDTH if layer else FEATURES
        weights = (random.normal(size=(inner, WIDTH)) / numpy.sqrt(inner)).astype(numpy.float32)
        constants.append(helper.make_tensor(f"w{layer}", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True))
        nodes += [helper.make_node("MatMul", [last, f"w{layer}"], [f"m{layer}"]), helper.make_node("Relu", [f"m{layer}"], [f"r{layer}"])]
        last = f"r{layer}"
    # One number a row, so that the answer costs nothing.
    nodes.append(helper.make_node("ReduceMean", [last], ["y"], axes=[1], keepdims=1))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])]
    graph = helper.make_graph(nodes, "network", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _onnx_library() -> str:
    from importlib.util import find_spec
    from pathlib import Path

    package = find_spec("onnxruntime")
    return str(next((Path(str(package.origin)).parent / "capi").glob("libonnxruntime.so.*")))
