"""The Open Inference protocol with the unmodified tritonclient, over HTTP and gRPC, blocking and asyncio, and with plain requests."""

from __future__ import annotations

import asyncio
import gzip
import json
import queue
import threading
import time
import zlib

import grpc
import lightgbm
import numpy
import pytest
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from serving_models import TYPES, add_sub, booster, deploy, every_type, register, scores, slow
from tritonclient.utils import InferenceServerException

LEFT = numpy.arange(16, dtype=numpy.int32).reshape(1, 16)
RIGHT = numpy.full((1, 16), 3, dtype=numpy.int32)
VALUES = {
    "BOOL": numpy.array([[True, False]]),
    "INT8": numpy.array([[-128, 127]], dtype=numpy.int8),
    "INT16": numpy.array([[-300, 7]], dtype=numpy.int16),
    "INT32": numpy.array([[-(2**31), 7]], dtype=numpy.int32),
    "INT64": numpy.array([[-(2**63), 2**63 - 1]], dtype=numpy.int64),
    "UINT8": numpy.array([[0, 255]], dtype=numpy.uint8),
    "UINT16": numpy.array([[0, 65535]], dtype=numpy.uint16),
    "UINT32": numpy.array([[0, 2**32 - 1]], dtype=numpy.uint32),
    "UINT64": numpy.array([[0, 2**64 - 1]], dtype=numpy.uint64),
    "FP16": numpy.array([[0.5, -65504]], dtype=numpy.float16),
    "FP32": numpy.array([[0.1, numpy.inf]], dtype=numpy.float32),
    "FP64": numpy.array([[0.1, -numpy.inf]], dtype=numpy.float64),
    "BYTES": numpy.array([["", "ä longer one"]], dtype=object),
}


@pytest.fixture(scope="module")
def adder(server_url: str) -> str:
    return deploy(server_url, add_sub())


@pytest.fixture(scope="module")
def types(server_url: str) -> str:
    return deploy(server_url, every_type())


@pytest.fixture(scope="module")
def trees() -> lightgbm.Booster:
    return booster()


@pytest.fixture(scope="module")
def tree_model(server_url: str, trees: lightgbm.Booster) -> str:
    return deploy(server_url, trees)


@pytest.fixture(params=["http", "grpc"])
def triton(request: pytest.FixtureRequest, server_url: str):
    """The module of a client and a client of it."""
    module = {"http": triton_http, "grpc": triton_grpc}[request.param]
    client = module.InferenceServerClient(server_url.removeprefix("http://"))
    yield module, client
    client.close()


def inputs(module, left=LEFT, right=RIGHT, **options):
    made = [module.InferInput("INPUT0", list(left.shape), "INT32"), module.InferInput("INPUT1", list(right.shape), "INT32")]
    for tensor, array in zip(made, (left, right)):
        tensor.set_data_from_numpy(array, **options)
    return made


def as_dict(module, answer) -> dict:
    """An answer of either client as JSON."""
    if isinstance(answer, (dict, list)):
        return answer
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(answer, preserving_proto_field_name=True)


def test_health_and_metadata(triton, adder):
    module, client = triton
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(adder)
    assert client.is_model_ready(adder, "1")
    if module is triton_http:
        assert not client.is_model_ready("nothing")
    else:
        with pytest.raises(InferenceServerException, match="nothing"):
            client.is_model_ready("nothing")
    server = as_dict(module, client.get_server_metadata())
    assert server["name"] == "shipway" and "binary_tensor_data" in server["extensions"]
    model = as_dict(module, client.get_model_metadata(adder))
    assert model["versions"] == ["1"] and model["platform"] == "onnxruntime_onnx"
    assert [tensor["name"] for tensor in model["inputs"]] == ["INPUT0", "INPUT1"]
    shape = [int(size) for size in model["outputs"][0]["shape"]]
    assert (model["outputs"][0]["datatype"], shape) == ("INT32", [-1, 16])
    config = as_dict(module, client.get_model_config(adder))
    config = config.get("config", config)
    assert config["input"][0]["data_type"] == "TYPE_INT32"
    assert "dynamic_batching" not in config, "a model of tensors is batched when its deployment says so"


def test_infer_in_binary_and_in_json(triton, adder):
    module, client = triton
    answer = client.infer(adder, inputs(module), request_id="mine", model_version="1")
    assert (answer.as_numpy("OUTPUT0") == LEFT + RIGHT).all()
    assert (answer.as_numpy("OUTPUT1") == LEFT - RIGHT).all()
    response = as_dict(module, answer.get_response())
    assert (response["id"], response["model_name"], response["model_version"]) == ("mine", adder, "1")
    if module is triton_http:
        wanted = [module.InferRequestedOutput("OUTPUT1", binary_data=False)]
        answer = client.infer(adder, inputs(module, binary_data=False), outputs=wanted)
        assert "data" in answer.get_output("OUTPUT1")
    else:
        answer = client.infer(adder, inputs(module), outputs=[module.InferRequestedOutput("OUTPUT1")])
    assert (answer.as_numpy("OUTPUT1") == LEFT - RIGHT).all()
    assert answer.as_numpy("OUTPUT0") is None, "only what was wanted"


def test_every_type_goes_both_ways(triton, types):
    module, client = triton
    given = []
    for word in TYPES:
        tensor = module.InferInput(f"{word}_IN", [1, 2], word)
        tensor.set_data_from_numpy(VALUES[word])
        given.append(tensor)
    answer = client.infer(types, given)
    for word in TYPES:
        got = answer.as_numpy(f"{word}_OUT")
        if word == "BYTES":
            assert [text.decode() for text in got.ravel()] == list(VALUES[word].ravel())
        else:
            assert got.dtype == VALUES[word].dtype and (got == VALUES[word]).all(), word


def test_parameters_come_back(triton, adder):
    module, client = triton
    answer = client.infer(adder, inputs(module), parameters={"note": "kept", "number": 7}, priority=1, timeout=5_000_000)
    parameters = as_dict(module, answer.get_response())["parameters"]
    if module is triton_grpc:
        assert parameters["note"]["string_param"] == "kept" and parameters["number"]["int64_param"] == "7"
    else:
        assert parameters == {"note": "kept", "number": 7}
    with pytest.raises(InferenceServerException, match="sequence_id"):
        client.infer(adder, inputs(module), sequence_id=5, sequence_start=True)


def test_classification(triton, server_url):
    module, client = triton
    name = deploy(server_url, scores())
    tensor = module.InferInput("x", [2, 4], "FP32")
    tensor.set_data_from_numpy(numpy.array([[0.1, 0.7, 0.15, 0.05], [3, 2, 1, 0]], dtype=numpy.float32))
    answer = client.infer(name, [tensor], outputs=[module.InferRequestedOutput("scores", class_count=2)])
    got = [[text.decode() for text in row] for row in answer.as_numpy("scores")]
    assert got == [["0.700000:1", "0.150000:2"], ["3.000000:0", "2.000000:1"]]


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_packed_bodies(server_url, adder, packing):
    client = triton_http.InferenceServerClient(server_url.removeprefix("http://"))
    left = numpy.tile(LEFT, (200, 1))
    right = numpy.tile(RIGHT, (200, 1))
    answer = client.infer(
        adder,
        inputs(triton_http, left, right),
        request_compression_algorithm=packing,
        response_compression_algorithm=packing,
    )
    assert (answer.as_numpy("OUTPUT0") == left + right).all()
    body = json.dumps({"inputs": [{"name": "INPUT0", "shape": [1], "datatype": "INT32", "data": [1]}]}).encode()
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}[packing](body)
    url = f"{server_url}/v2/models/{adder}/infer"
    refused = requests.post(url, data=packed, headers={"Content-Encoding": packing}, timeout=10)
    assert refused.status_code == 400 and "INPUT0" in refused.json()["error"]
    cut = requests.post(url, data=packed[: len(packed) // 2], headers={"Content-Encoding": packing}, timeout=10)
    assert cut.status_code == 400, cut.text


def test_a_body_of_bytes_alone(server_url):
    name = deploy(server_url, scores())
    rows = numpy.array([[1, 2, 3, 4], [5, 6, 7, 8]], dtype=numpy.float32)
    answer = requests.post(
        f"{server_url}/v2/models/{name}/infer",
        data=rows.tobytes(),
        headers={"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"},
        timeout=10,
    )
    assert answer.ok, answer.text
    length = int(answer.headers["Inference-Header-Content-Length"])
    head = json.loads(answer.content[:length])
    assert head["outputs"][0]["shape"] == [2, 4]
    assert (numpy.frombuffer(answer.content[length:], dtype=numpy.float32).reshape(2, 4) == rows).all()


def test_asyncio_clients(server_url, adder):
    address = server_url.removeprefix("http://")

    async def ask(module, client_module):
        async with module.InferenceServerClient(address) as client:
            assert await client.is_model_ready(adder)
            many = [client.infer(adder, inputs(client_module, LEFT + place)) for place in range(20)]
            answers = await asyncio.gather(*many)
        return [answer.as_numpy("OUTPUT1") for answer in answers]

    for module, client_module in ((triton_http_aio, triton_http), (triton_grpc_aio, triton_grpc)):
        for place, output in enumerate(asyncio.run(ask(module, client_module))):
            assert (output == LEFT + place - RIGHT).all()


def test_a_stream_answers_in_order_and_goes_on_after_a_failure(server_url, adder):
    client = triton_grpc.InferenceServerClient(server_url.removeprefix("http://"))
    answers: queue.Queue = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for place in range(10):
        right = RIGHT[:, :8] if place == 4 else RIGHT
        client.async_stream_infer(adder, inputs(triton_grpc, LEFT + place, right), request_id=str(place))
    for place in range(10):
        result, error = answers.get(timeout=20)
        if place == 4:
            assert "INPUT1" in str(error)
        else:
            assert error is None, error
            assert result.get_response().id == str(place)
            assert (result.as_numpy("OUTPUT0") == LEFT + place + RIGHT).all()
    client.stop_stream()
    client.close()


def test_trees_take_columns_or_one_matrix(triton, tree_model, trees):
    module, client = triton
    rows = numpy.random.default_rng(1).normal(size=(50, 3))
    rows[7, 1] = numpy.nan
    matrix = module.InferInput("anything", [50, 3], "FP64")
    matrix.set_data_from_numpy(rows)
    expected = trees.predict(rows)
    assert numpy.abs(client.infer(tree_model, [matrix]).as_numpy("predict") - expected).max() < 1e-12
    columns = []
    for place, name in ((2, "c"), (0, "a"), (1, "b")):
        column = module.InferInput(name, [50], "FP64")
        column.set_data_from_numpy(rows[:, place])
        columns.append(column)
    assert numpy.abs(client.infer(tree_model, columns).as_numpy("predict") - expected).max() < 1e-12
    assert [tensor["name"] for tensor in as_dict(module, client.get_model_metadata(tree_model))["inputs"]] == ["a", "b", "c"]


def test_what_is_wrong_is_named(triton, server_url, adder, tree_model):
    module, client = triton
    wide = numpy.zeros((1, 17), dtype=numpy.int32)
    with pytest.raises(InferenceServerException, match=r"INPUT1.*expected shape \[-1, 16\], got \[1, 17\]"):
        client.infer(adder, inputs(module, right=wide))
    with pytest.raises(InferenceServerException, match="INPUT1.*missing"):
        client.infer(adder, inputs(module)[:1])
    floats = module.InferInput("INPUT1", [1, 16], "FP32")
    floats.set_data_from_numpy(RIGHT.astype(numpy.float32))
    with pytest.raises(InferenceServerException, match="expected INT32, got FP32"):
        client.infer(adder, [inputs(module)[0], floats])
    with pytest.raises(InferenceServerException, match="OUTPUT7"):
        client.infer(adder, inputs(module), outputs=[module.InferRequestedOutput("OUTPUT7")])
    with pytest.raises(InferenceServerException, match="nothing") as unknown:
        client.infer("nothing", inputs(module))
    assert unknown.value.status() == ("404" if module is triton_http else "StatusCode.NOT_FOUND")
    with pytest.raises(InferenceServerException, match="serves version 1, not 9"):
        client.infer(adder, inputs(module), model_version="9")
    many = module.InferInput("x", [1_000_000, 3], "FP32")
    many.set_data_from_numpy(numpy.zeros((1_000_000, 3), dtype=numpy.float32))
    with pytest.raises(InferenceServerException, match="1 to 1024 rows, got 1000000"):
        client.infer(tree_model, [many])
    assert (client.infer(adder, inputs(module)).as_numpy("OUTPUT0") == LEFT + RIGHT).all(), "and it goes on"


def test_repository(triton, server_url):
    module, client = triton
    name = deploy(server_url, add_sub())

    def state() -> dict:
        index = as_dict(module, client.get_model_repository_index())
        models = index if isinstance(index, list) else index["models"]
        return next(model for model in models if model["name"] == name)

    assert state()["state"] == "READY" and state()["version"] == "1"
    client.unload_model(name)
    assert (state()["state"], state()["reason"]) == ("UNAVAILABLE", "unloaded")
    assert not client.is_model_ready(name) and client.is_server_ready()
    with pytest.raises(InferenceServerException, match="is unloaded"):
        client.infer(name, inputs(module))
    client.load_model(name)
    assert state()["state"] == "READY"
    assert (client.infer(name, inputs(module)).as_numpy("OUTPUT0") == LEFT + RIGHT).all()
    with pytest.raises(InferenceServerException, match="files and settings cannot come with it"):
        client.load_model(name, config="{}")


def test_statistics(triton, server_url):
    module, client = triton
    name = deploy(server_url, add_sub())
    for _ in range(3):
        client.infer(name, inputs(module, numpy.tile(LEFT, (2, 1)), numpy.tile(RIGHT, (2, 1))))
    with pytest.raises(InferenceServerException):
        client.infer(name, inputs(module)[:1])
    [stats] = as_dict(module, client.get_inference_statistics(name))["model_stats"]
    assert (int(stats["inference_count"]), int(stats["execution_count"])) == (6, 3)
    phases = stats["inference_stats"]
    assert int(phases["success"]["count"]) == 3 and int(phases["fail"]["count"]) == 1
    assert int(phases["compute_infer"]["ns"]) > 0 and int(phases["queue"]["count"]) == 3
    assert [int(batch["batch_size"]) for batch in stats["batch_stats"]] == [2]
    assert name in [model["name"] for model in as_dict(module, client.get_inference_statistics())["model_stats"]]
    metrics = requests.get(f"{server_url}/metrics", timeout=10).text
    assert f'shipway_inference_seconds_count{{deployment="{name}",version="1",phase="compute_infer"}} 3' in metrics
    assert f'nv_inference_request_success{{model="{name}",version="1"}} 3' in metrics
    assert f'nv_inference_count{{model="{name}",version="1"}} 6' in metrics


def test_single_rows_of_many_clients_run_together(server_url):
    alone = deploy(server_url, slow(rounds=40))
    together = deploy(server_url, slow(rounds=40), batching={"max_rows": 16, "max_delay_us": 20_000})
    config = requests.get(f"{server_url}/v2/models/{together}/config", timeout=10).json()
    assert config["max_batch_size"] == 16 and config["input"][0]["dims"] == [1, 256]
    assert config["dynamic_batching"]["max_queue_delay_microseconds"] == 20_000

    def ask(name: str, place: int, wrong: list) -> None:
        client = triton_http.InferenceServerClient(server_url.removeprefix("http://"))
        row = numpy.full((1, 1, 256), place, dtype=numpy.float32)
        tensor = triton_http.InferInput("x", [1, 1, 256], "FP32")
        tensor.set_data_from_numpy(row)
        for _ in range(5):
            if not (client.infer(name, [tensor]).as_numpy("y") == row).all():
                wrong.append(place)

    for name in (alone, together):
        wrong: list[int] = []
        threads = [threading.Thread(target=ask, args=(name, place, wrong)) for place in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == [], "each caller gets its own rows"
    executions = {
        name: requests.get(f"{server_url}/v2/models/{name}/stats", timeout=10).json()["model_stats"][0]["execution_count"]
        for name in (alone, together)
    }
    assert executions[alone] == 80 and executions[together] <= 40, executions


def test_overload_is_refused_at_once_and_other_models_go_on(server_url, adder):
    name = deploy(server_url, slow(rounds=1500), queue={"max_requests": 2, "timeout_ms": 60_000})
    body = {"inputs": [{"name": "x", "shape": [1, 1, 256], "datatype": "FP32", "data": [1.0] * 256}]}
    url = f"{server_url}/v2/models/{name}/infer"
    results: list[tuple[int, float, str | None]] = []

    def ask() -> None:
        started = time.monotonic()
        answer = requests.post(url, json=body, timeout=120)
        results.append((answer.status_code, time.monotonic() - started, answer.headers.get("Retry-After")))

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    client = triton_http.InferenceServerClient(server_url.removeprefix("http://"))
    for _ in range(20):
        assert (client.infer(adder, inputs(triton_http)).as_numpy("OUTPUT0") == LEFT + RIGHT).all()
    for thread in threads:
        thread.join()
    statuses = [status for status, _, _ in results]
    assert set(statuses) == {200, 429} and statuses.count(200) >= 3, statuses
    assert all(retry == "1" for status, _, retry in results if status == 429)
    served = [took for status, took, _ in results if status == 200]
    refused = sorted(took for status, took, _ in results if status == 429)
    assert refused[len(refused) // 2] < max(served), "most of those refused know it before the last is served"


def test_a_new_version_takes_over_under_load_without_a_failed_request(server_url):
    name = deploy(server_url, add_sub())
    url = f"{server_url}/v2/models/{name}/infer"
    body = {
        "inputs": [
            {"name": "INPUT0", "shape": [1, 16], "datatype": "INT32", "data": LEFT.ravel().tolist()},
            {"name": "INPUT1", "shape": [1, 16], "datatype": "INT32", "data": RIGHT.ravel().tolist()},
        ]
    }
    stop, versions, failures = threading.Event(), [], []

    def ask() -> None:
        with requests.Session() as session:
            while not stop.is_set():
                answer = session.post(url, json=body, timeout=30)
                if answer.ok and answer.json()["outputs"][0]["data"] == (LEFT + RIGHT).ravel().tolist():
                    versions.append(answer.json()["model_version"])
                else:
                    failures.append(answer.text)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for version in (2, 3, 4):
            assert register(server_url, name, add_sub()) == version
            deadline = time.monotonic() + 20
            while str(version) not in versions[-4:] and time.monotonic() < deadline:
                time.sleep(0.02)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert {"1", "2", "3", "4"} <= set(versions)


def test_health_service_and_reflection(server_url, adder):
    messages, services = health_pb2, health_pb2_grpc
    with grpc.insecure_channel(server_url.removeprefix("http://")) as channel:
        stub = services.HealthStub(channel)
        serving = messages.HealthCheckResponse.SERVING
        assert stub.Check(messages.HealthCheckRequest()).status == serving
        assert stub.Check(messages.HealthCheckRequest(service=adder)).status == serving
        with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
            stub.Check(messages.HealthCheckRequest(service="nothing"))
        watched = stub.Watch(messages.HealthCheckRequest(service=adder))
        assert next(watched).status == serving
        triton_http.InferenceServerClient(server_url.removeprefix("http://")).unload_model(adder)
        assert next(watched).status == messages.HealthCheckResponse.NOT_SERVING
        triton_http.InferenceServerClient(server_url.removeprefix("http://")).load_model(adder)
        assert next(watched).status == serving
        watched.cancel()
        reflection = reflection_pb2
        method = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection.ServerReflectionResponse.FromString,
        )
        asked = method(iter([reflection.ServerReflectionRequest(list_services="")]))
        names = [service.name for service in next(asked).list_services_response.service]
        assert "inference.GRPCInferenceService" in names and "grpc.health.v1.Health" in names
