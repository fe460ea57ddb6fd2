"""The memory of a model is free again when it is unloaded."""

from __future__ import annotations

import time
from pathlib import Path

import numpy
import onnx
import pytest
import requests
from onnx import TensorProto, helper
from serving_models import deploy

WIDTH, LAYERS = 2048, 6
MODEL_MIB = WIDTH * WIDTH * 4 * (LAYERS - 1) / 2**20


def network() -> onnx.ModelProto:
    random, nodes, weights, last = numpy.random.default_rng(2), [], [], "x"
    for layer in range(LAYERS):
        matrix = random.normal(size=(WIDTH if layer else 8, WIDTH)).astype(numpy.float32) / 64
        weights.append(helper.make_tensor(f"w{layer}", TensorProto.FLOAT, matrix.shape, matrix.tobytes(), raw=True))
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [f"m{layer}"]))
        last = f"m{layer}"
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width]) for name, width in (("x", 8), (last, WIDTH))]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_unloading_gives_the_memory_back_every_time(server, server_url):
    name = deploy(server_url, network())
    body = {"inputs": [{"name": "x", "shape": [1, 8], "datatype": "FP32", "data": [0.1] * 8}]}

    def own_mib() -> float:
        """What the process has in memory, without the files that the kernel may take back."""
        lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) / 1024

    def repository(action: str) -> float:
        assert requests.post(f"{server_url}/v2/repository/models/{name}/{action}", json={}, timeout=60).ok
        if action == "load":
            assert requests.post(f"{server_url}/v2/models/{name}/infer", json=body, timeout=60).ok
            return own_mib()
        # The last request may still hold it for a moment.
        deadline, least = time.monotonic() + 10, own_mib()
        while time.monotonic() < deadline and least > loaded - 0.9 * MODEL_MIB:
            time.sleep(0.1)
            least = min(least, own_mib())
        return least

    loaded = repository("load")
    unloaded = []
    for _ in range(3):
        unloaded.append(repository("unload"))
        assert unloaded[-1] < loaded - 0.8 * MODEL_MIB, (loaded, unloaded)
        loaded = repository("load")
    repository("unload")
    assert unloaded[-1] < unloaded[0] + 0.3 * MODEL_MIB, "it does not grow from load to load"
