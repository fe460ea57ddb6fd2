"""ONNX models on a server that has no ONNX Runtime: rten runs what it can, and names what it lacks of the rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import onnx
import onnxruntime
import pytest
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from onnx import TensorProto, helper, numpy_helper
from real_binary import Server
from serving_models import deploy, register
from text_models import encoder, export, fresh, log_folder, wordpiece

FEATURES, CLASSES = 12, 3


def value(name: str, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])


def model(nodes: list[onnx.NodeProto], width: int, constants: list[onnx.TensorProto], answer: str = "y") -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "graph", [value("x", FEATURES)], [value(answer, width)], constants)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def perceptron() -> onnx.ModelProto:
    random = numpy.random.default_rng(5)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.normal(size=shape).astype(numpy.float32) / 3, name)

    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b0"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w1", "b1"], ["s"]),
        helper.make_node("Softmax", ["s"], ["y"], axis=-1),
    ]
    return model(nodes, CLASSES, [weights("w0", FEATURES, 32), weights("b0", 32), weights("w1", 32, CLASSES), weights("b1", CLASSES)])


def stump() -> onnx.ModelProto:
    """One tree with one split."""
    tree = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_values=[0.5, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[1.0, 2.0],
    )
    return model([tree], 1, [])


@pytest.fixture(scope="module")
def bare(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that finds no library of ONNX Runtime."""
    folder = tmp_path_factory.mktemp("bare")
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("VIRTUAL_ENV", raising=False)
        environment.delenv("SHIPWAY_RUNTIME__ONNX_LIBRARY", raising=False)
        started = Server(binary, folder / "data", folder / "server.log")
    yield started
    started.stop()


def test_a_network_answers_over_tritonclient_as_onnxruntime_does(bare):
    network = perceptron()
    # What is logged is emptied of its weights on the way: they go into a file of their own.
    name = deploy(bare.url, perceptron())
    rows = numpy.random.default_rng(6).normal(size=(40, FEATURES)).astype(numpy.float32)
    expected = onnxruntime.InferenceSession(network.SerializeToString()).run(["y"], {"x": rows})[0]
    address = bare.url.removeprefix("http://")

    for wire in (triton_http, triton_grpc):
        client = wire.InferenceServerClient(address)
        for count in (1, 40):
            sent = wire.InferInput("x", [count, FEATURES], "FP32")
            sent.set_data_from_numpy(rows[:count])
            answer = client.infer(name, [sent]).as_numpy("y")
            numpy.testing.assert_allclose(answer, expected[:count], atol=1e-5)
        client.close()

    metadata = requests.get(f"{bare.url}/v2/models/{name}", timeout=10).json()
    assert metadata["platform"] == "rten_onnx"
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, FEATURES]}]
    deployment = requests.get(f"{bare.url}/api/v1/deployments/{name}", timeout=10).json()
    assert deployment["serves"]["onnx_engine"] == "rten"
    assert "no library of ONNX Runtime" in (bare.data.parent / "server.log").read_text()


def test_rows_of_columns_are_predicted(bare):
    network = perceptron()
    # What is logged is emptied of its weights on the way: they go into a file of their own.
    name = deploy(bare.url, perceptron())
    row = {f"x_{place}": place / 10 for place in range(FEATURES)}
    answer = requests.post(f"{bare.url}/api/v1/predict/{name}", json={"rows": [row]}, timeout=10)
    assert answer.ok, answer.text
    rows = numpy.array([list(row.values())], dtype=numpy.float32)
    expected = onnxruntime.InferenceSession(network.SerializeToString()).run(["y"], {"x": rows})[0]
    numpy.testing.assert_allclose(answer.json()["predictions"], expected, atol=1e-5)


def test_a_tree_is_refused_with_the_operator_and_the_way_out(bare):
    register(bare.url, "stump", stump())
    refused = requests.put(
        f"{bare.url}/api/v1/deployments/stump", json={"model": "stump", "alias": "champion"}, timeout=60
    )
    problem = refused.json()
    assert refused.status_code == 400 and problem["code"] == "runtime.onnx_fallback", problem
    assert "the operator TreeEnsembleRegressor of ai.onnx.ml" in problem["detail"]
    assert "shipway runtime install" in problem["hint"]


def test_an_embedder_answers_texts(bare, tmp_path):
    tokenizer = wordpiece()
    folder = export(tmp_path, tokenizer, encoder(tokenizer.get_vocab_size()), {})
    name = fresh("bare")
    log_folder(bare.url, name, folder)
    spec = {"model": name, "alias": "champion"}
    assert requests.put(f"{bare.url}/api/v1/deployments/{name}", json=spec, timeout=60).ok
    body = {"model": name, "input": ["a late flight", "snow"]}
    answer = requests.post(f"{bare.url}/v1/embeddings", json=body, timeout=10)
    assert answer.ok, answer.text
    vectors = numpy.array([one["embedding"] for one in answer.json()["data"]])
    numpy.testing.assert_allclose(numpy.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_engine_that_is_asked_for_is_the_only_one(binary, tmp_path, monkeypatch):
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("SHIPWAY_RUNTIME__ONNX_ENGINE", "onnxruntime")
    strict = Server(binary, tmp_path / "data", tmp_path / "log")
    try:
        register(strict.url, "network", perceptron())
        refused = requests.put(
            f"{strict.url}/api/v1/deployments/network", json={"model": "network", "alias": "champion"}, timeout=60
        )
        assert refused.status_code == 503 and refused.json()["code"] == "runtime.onnx_library", refused.text
    finally:
        strict.stop()
