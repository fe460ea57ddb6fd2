"""Models for the tests of serving: made, logged with the unmodified mlflow client, and deployed."""

from __future__ import annotations

import uuid

import lightgbm
import mlflow
import numpy
import onnx
import requests
import xgboost
from mlflow import MlflowClient
from onnx import TensorProto, helper

TYPES = {
    "BOOL": TensorProto.BOOL,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def _value(name: str, element: int, shape: list[object]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, shape)


def _model(nodes: list[onnx.NodeProto], inputs: list, outputs: list, constants: list | None = None) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, constants or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def add_sub() -> onnx.ModelProto:
    """INPUT0 and INPUT1 of INT32[batch, 16] become their sum and their difference."""
    inputs = [_value(name, TensorProto.INT32, ["batch", 16]) for name in ("INPUT0", "INPUT1")]
    outputs = [_value(name, TensorProto.INT32, ["batch", 16]) for name in ("OUTPUT0", "OUTPUT1")]
    names = ["INPUT0", "INPUT1"]
    return _model(
        [helper.make_node("Add", names, ["OUTPUT0"]), helper.make_node("Sub", names, ["OUTPUT1"])], inputs, outputs
    )


def every_type() -> onnx.ModelProto:
    """Answers what it is given, in every type that ONNX and NumPy share."""
    nodes = [helper.make_node("Identity", [f"{word}_IN"], [f"{word}_OUT"]) for word in TYPES]
    inputs = [_value(f"{word}_IN", element, ["batch", 2]) for word, element in TYPES.items()]
    outputs = [_value(f"{word}_OUT", element, ["batch", 2]) for word, element in TYPES.items()]
    return _model(nodes, inputs, outputs)


def scores() -> onnx.ModelProto:
    """FP32[batch, 4] is answered as it came, under the name of scores."""
    node = helper.make_node("Identity", ["x"], ["scores"])
    return _model([node], [_value("x", TensorProto.FLOAT, ["batch", 4])], [_value("scores", TensorProto.FLOAT, ["batch", 4])])


def slow(rounds: int = 400, width: int = 256) -> onnx.ModelProto:
    """A model that takes some milliseconds: one matrix multiplied with another again and again, no rows of columns."""
    weights = numpy.eye(width, dtype=numpy.float32)
    constant = helper.make_tensor("weights", TensorProto.FLOAT, [width, width], weights.tobytes(), raw=True)
    nodes, last = [], "x"
    for place in range(rounds):
        after = "y" if place == rounds - 1 else f"between_{place}"
        nodes.append(helper.make_node("MatMul", [last, "weights"], [after]))
        last = after
    shape = ["batch", 1, width]
    return _model(nodes, [_value("x", TensorProto.FLOAT, shape)], [_value("y", TensorProto.FLOAT, shape)], [constant])


def booster() -> lightgbm.Booster:
    """A small model of three columns, one of which may be missing."""
    random = numpy.random.default_rng(7)
    rows = random.normal(size=(500, 3))
    labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0).astype(int)
    data = lightgbm.Dataset(rows, label=labels, feature_name=["a", "b", "c"])
    return lightgbm.train({"objective": "binary", "verbose": -1, "num_leaves": 7}, data, num_boost_round=20)


Model = onnx.ModelProto | lightgbm.Booster | xgboost.Booster


def boosted(classes: int = 2) -> tuple[xgboost.Booster, numpy.ndarray]:
    """A small model of XGBoost of three columns, one of which may be missing, and rows to ask for."""
    random = numpy.random.default_rng(9)
    rows = random.normal(size=(400, 3)).astype(numpy.float32)
    rows[random.random(rows.shape) < 0.1] = numpy.nan
    labels = (numpy.nan_to_num(rows[:, 0]) * 3).astype(int) % classes
    objective = {"objective": "binary:logistic"} if classes == 2 else {"objective": "multi:softprob", "num_class": classes}
    data = xgboost.DMatrix(rows, label=labels, feature_names=["a", "b", "c"])
    return xgboost.train({**objective, "max_depth": 4, "seed": 1}, data, num_boost_round=15), rows[:40]


def deploy(url: str, model: Model, **settings: object) -> str:
    """Logs and registers `model`, and deploys it under a name of its own, which is answered."""
    name = f"m_{uuid.uuid4().hex[:10]}"
    register(url, name, model)
    answer = requests.put(
        f"{url}/api/v1/deployments/{name}", json={"model": name, "alias": "champion", **settings}, timeout=60
    )
    assert answer.ok, answer.text
    return name


def register(url: str, name: str, model: Model, alias: str = "champion") -> int:
    """Logs `model` as a version of `name`, and gives it the alias."""
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    mlflow.set_experiment("serving")
    log = mlflow.onnx.log_model
    if isinstance(model, lightgbm.Booster):
        log = mlflow.lightgbm.log_model
    elif isinstance(model, xgboost.Booster):
        log = mlflow.xgboost.log_model
    with mlflow.start_run():
        info = log(model, name="model", registered_model_name=name, pip_requirements=["numpy"])
    version = int(info.registered_model_version)
    MlflowClient(url, url).set_registered_model_alias(name, alias, str(version))
    return version
