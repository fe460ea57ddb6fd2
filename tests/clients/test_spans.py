"""Spans of the real server, as a collector gets them: the messages of the unmodified `opentelemetry-proto`, and another server's
`/v1/traces` read with the unmodified MLflow client."""

from __future__ import annotations

import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import numpy
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import tritonclient.grpc
from mlflow import MlflowClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.semconv._incubating.attributes import rpc_attributes as rpc
from opentelemetry.semconv.attributes import http_attributes as http
from opentelemetry.semconv.attributes import service_attributes, url_attributes
from real_binary import Server, onnx_library
from serving_models import booster, deploy, register, slow

ROW = {"a": 0.5, "b": -1.0, "c": 2.0}


class Collector:
    """Takes spans over HTTP and keeps them; answers as it is told."""

    def __init__(self, port: int = 0) -> None:
        self.spans: list[Span] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.resources: list[dict] = []
        self.answer: tuple[int, bytes] = (200, b"")
        self.may_answer = threading.Event()
        self.may_answer.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.may_answer.wait(60)
                status, answer = collector.answer
                collector.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
                if status == 200:
                    collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def take(self, message: ExportTraceServiceRequest) -> None:
        for of_resource in message.resource_spans:
            self.resources.append(said(of_resource.resource))
            for of_scope in of_resource.scope_spans:
                assert of_scope.scope.name == "shipway"
                self.spans.extend(of_scope.spans)

    def of(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id.hex() == trace]

    def wait(self, trace: str, names: list[str]) -> dict[str, Span]:
        """The spans of a trace by name, once it has exactly these names."""
        until(lambda: sorted(span.name for span in self.of(trace)) == sorted(names), lambda: self.of(trace))
        return {span.name: span for span in self.of(trace)}

    def close(self) -> None:
        self.may_answer.set()
        self.http.shutdown()
        self.http.server_close()


def until(reached: Callable[[], bool], shown: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not reached: {shown()}"
        time.sleep(0.02)


def said(of: object) -> dict:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


def traced(sampled: bool = True) -> tuple[str, dict[str, str]]:
    """A trace of its own, and the header of a caller that says it."""
    trace = secrets.token_hex(16)
    return trace, {"traceparent": f"00-{trace}-00f067aa0ba902b7-0{int(sampled)}"}


def metric(url: str, name: str) -> float:
    text = requests.get(f"{url}/metrics", timeout=10).text
    found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", text, re.MULTILINE)
    return float(found[1]) if found else -1.0


def started(binary: str, folder: Path, **environment: str) -> Server:
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"SHIPWAY_RUNTIME__ONNX_LIBRARY": onnx_library(), "SHIPWAY_LOG__LEVEL": "info,shipway_web=debug"}
    return Server(binary, folder / "data", folder / "server.log", settings | environment)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def observed(binary: str, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that sends spans of what its callers sample, and of nothing else."""
    settings = {"SHIPWAY_SPANS__OTLP_ENDPOINT": collector.url, "SHIPWAY_SPANS__RATIO": "0"}
    server = started(binary, tmp_path_factory.mktemp("spans"), **settings)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def trees(observed: Server) -> str:
    return deploy(observed.url, booster())


def test_a_prediction_is_a_tree_of_spans_under_its_caller(observed, collector, trees):
    trace, headers = traced()
    answer = requests.post(
        f"{observed.url}/api/v1/predict/{trees}?of=me", json={"rows": [ROW, ROW]}, headers=headers, timeout=10
    )
    assert answer.ok, answer.text
    route = "POST /api/v1/predict/{deployment}"
    spans = collector.wait(trace, [route, "predict", "compute"])

    request = spans[route]
    assert request.kind == Span.SPAN_KIND_SERVER and request.parent_span_id.hex() == "00f067aa0ba902b7"
    of_request = said(request)
    assert of_request[http.HTTP_REQUEST_METHOD] == "POST"
    assert of_request[http.HTTP_ROUTE] == "/api/v1/predict/{deployment}"
    assert of_request[http.HTTP_RESPONSE_STATUS_CODE] == 200
    assert of_request[url_attributes.URL_PATH] == f"/api/v1/predict/{trees}"
    assert of_request["shipway.request_id"] == answer.headers["x-request-id"]

    predict, compute = spans["predict"], spans["compute"]
    assert predict.parent_span_id == request.span_id and compute.parent_span_id == predict.span_id
    labels = {
        "shipway.deployment": trees,
        "shipway.model.name": trees,
        "shipway.model.version": 1,
        "shipway.variant": "stable",
        "shipway.prediction.id": answer.json()["request_id"],
    }
    assert said(predict) == labels
    assert said(compute) == labels | {"shipway.rows": 2, "shipway.batch.rows": 2, "shipway.batch.requests": 1}
    for inner, outer in ((compute, predict), (predict, request)):
        assert outer.start_time_unix_nano <= inner.start_time_unix_nano
        assert inner.start_time_unix_nano <= inner.end_time_unix_nano <= outer.end_time_unix_nano
    now = time.time_ns()
    assert 0 <= now - request.end_time_unix_nano < 60e9, "it is placed in time"

    of_process = collector.resources[-1]
    assert of_process[service_attributes.SERVICE_NAME] == "shipway"
    assert of_process["service.instance.id"] and of_process["service.version"]
    path, sent = collector.requests[-1]
    assert (path, sent["content-type"]) == ("/v1/traces", "application/x-protobuf")
    assert sent["traceparent"].endswith("-00"), "a collector that has spans of its own makes none of this"
    assert f"trace_id={trace}" in re.sub(r'"|\x1b\[[0-9;]*m', "", observed.log())


def test_what_is_not_sampled_leaves_nothing(observed, collector, trees):
    unsampled, headers = traced(sampled=False)
    body = {"rows": [ROW]}
    url = f"{observed.url}/api/v1/predict/{trees}"
    assert requests.post(url, json=body, headers=headers, timeout=10).ok
    before = {span.trace_id for span in collector.spans}
    assert requests.post(url, json=body, timeout=10).ok
    assert requests.post(url, json=body, headers={"traceparent": "00-nonsense-01"}, timeout=10).ok
    trace, headers = traced()
    assert requests.post(url, json=body, headers=headers, timeout=10).ok
    collector.wait(trace, ["POST /api/v1/predict/{deployment}", "predict", "compute"])
    assert {span.trace_id for span in collector.spans} - before <= {bytes.fromhex(trace)}
    assert collector.of(unsampled) == [] and unsampled not in observed.log()


def test_requests_that_run_together_say_how_many_they_are(observed, collector):
    name = deploy(observed.url, slow(rounds=40), batching={"max_rows": 4, "max_delay_us": 2_000_000})
    body = {"inputs": [{"name": "x", "shape": [1, 1, 256], "datatype": "FP32", "data": [1.0] * 256}]}
    traces = [traced() for _ in range(4)]

    def ask(headers: dict[str, str]) -> bool:
        return requests.post(f"{observed.url}/v2/models/{name}/infer", json=body, headers=headers, timeout=30).ok

    with ThreadPoolExecutor(4) as callers:
        assert all(callers.map(ask, [headers for _, headers in traces]))
    for trace, _ in traces:
        spans = collector.wait(trace, ["POST /v2/models/{model}/infer", "predict", "queue", "compute"])
        queue, compute = spans["queue"], spans["compute"]
        assert queue.parent_span_id == compute.parent_span_id == spans["predict"].span_id
        assert queue.end_time_unix_nano == compute.start_time_unix_nano
        of_compute = said(compute)
        assert (of_compute["shipway.rows"], of_compute["shipway.batch.rows"], of_compute["shipway.batch.requests"]) == (1, 4, 4)


def test_grpc_calls_are_known_by_their_method(observed, collector):
    name = deploy(observed.url, slow(rounds=2))
    client = tritonclient.grpc.InferenceServerClient(observed.url.removeprefix("http://"))
    tensor = tritonclient.grpc.InferInput("x", [1, 1, 256], "FP32")
    tensor.set_data_from_numpy(numpy.ones((1, 1, 256), dtype=numpy.float32))

    trace, headers = traced()
    client.infer(name, [tensor], headers=headers)
    spans = collector.wait(trace, ["inference.GRPCInferenceService/ModelInfer", "predict", "queue", "compute"])
    call = spans["inference.GRPCInferenceService/ModelInfer"]
    assert said(call)[rpc.RPC_SYSTEM_NAME] == "grpc" and said(call)[rpc.RPC_RESPONSE_STATUS_CODE] == "OK"
    assert spans["predict"].parent_span_id == call.span_id

    trace, headers = traced()
    answered: list = []
    client.start_stream(lambda result, error: answered.append((result, error)), headers=headers)
    client.async_stream_infer(name, [tensor])
    client.stop_stream()
    assert answered and answered[0][1] is None
    method = "inference.GRPCInferenceService/ModelStreamInfer"
    spans = collector.wait(trace, [method, "predict", "queue", "compute"])
    assert spans["predict"].parent_span_id == spans[method].span_id
    assert spans["compute"].end_time_unix_nano <= spans[method].end_time_unix_nano, "it ends with the stream"

    trace, headers = traced()
    with pytest.raises(tritonclient.grpc.InferenceServerException):
        client.infer("nobody", [tensor], headers=headers)
    (refused,) = collector.wait(trace, ["inference.GRPCInferenceService/ModelInfer"]).values()
    assert said(refused)[rpc.RPC_RESPONSE_STATUS_CODE] == "NOT_FOUND"
    assert refused.status.code == Status.STATUS_CODE_UNSET, "the fault is the caller's"


def test_the_candidate_of_a_launch_has_spans_in_the_trace_of_the_request(observed, collector):
    name = deploy(observed.url, booster())
    assert register(observed.url, name, booster(), alias="challenger") == 2
    launch = {"version": 2, "shadow_share": 1.0, "canary_shares": [0.5], "hold_s": 3600}
    begun = requests.post(f"{observed.url}/api/v1/deployments/{name}/launch", json=launch, timeout=60)
    assert begun.ok, begun.text
    trace, headers = traced()
    url = f"{observed.url}/api/v1/predict/{name}"
    assert requests.post(url, json={"rows": [ROW]}, headers=headers, timeout=10).json()["version"] == 1

    def variants() -> list[tuple[str, str, int]]:
        inner = [span for span in collector.of(trace) if span.name in ("predict", "compute")]
        told = [(span.name, said(span)) for span in inner]
        return sorted((name, one["shipway.variant"], one["shipway.model.version"]) for name, one in told)

    both = [("compute", "shadow", 2), ("compute", "stable", 1), ("predict", "shadow", 2), ("predict", "stable", 1)]
    until(lambda: variants() == both, variants)


def test_refusals_and_failures_say_their_codes(observed, collector, trees):
    trace, headers = traced()
    answer = requests.post(f"{observed.url}/api/v1/predict/{trees}", json={"rows": [{"z": 1}]}, headers=headers, timeout=10)
    assert answer.status_code == 400 and answer.headers["x-request-id"]
    route = "POST /api/v1/predict/{deployment}"
    spans = collector.wait(trace, [route, "predict"])
    assert said(spans[route])["shipway.code"] == answer.json()["code"]
    assert said(spans["predict"])["error.type"] == answer.json()["code"]
    assert {span.status.code for span in spans.values()} == {Status.STATUS_CODE_UNSET}, "the fault is the caller's"

    trace, headers = traced()
    assert requests.get(f"{observed.url}/no/such/path", headers=headers, timeout=10).status_code == 404
    (unknown,) = collector.wait(trace, ["GET unmatched"]).values()
    assert http.HTTP_ROUTE not in said(unknown)


DEFINITIONS = """
kind: entity
name: shop
keys: { shop: text }
---
kind: source
name: sales
event_time: sold_at
event_id: sale
columns: { sale: text, sold_at: timestamp, shop: text, amount: float }
---
kind: view
name: spent
entity: shop
source: sales
aggregate:
  - column: amount
    operations: [sum]
    windows: [lifetime]
---
kind: service
name: shop_features
views: [spent]
"""


def test_feature_reads_training_sets_and_jobs_have_spans(binary, tmp_path):
    collector = Collector()
    server = started(binary, tmp_path / "all", SHIPWAY_SPANS__OTLP_ENDPOINT=f"{collector.url}/v1/traces")
    (tmp_path / "shop.yaml").write_text(DEFINITIONS)
    server.cli("apply", str(tmp_path / "shop.yaml"))
    times = pa.array([1_700_000_000_000_000 + number for number in range(10)], pa.timestamp("us", "UTC"))
    sales = {"sale": [f"{n}" for n in range(10)], "sold_at": times, "shop": ["x"] * 10, "amount": [1.5] * 10}
    pq.write_table(pa.table(sales), tmp_path / "sales.parquet")
    pq.write_table(pa.table({"q": times, "shop": ["x"] * 10}), tmp_path / "asked.parquet")
    server.cli("table", "load", "sales", str(tmp_path / "sales.parquet"))
    server.cli("table", "load", "asked", str(tmp_path / "asked.parquet"))

    trace, headers = traced()
    read = {"service": "shop_features", "rows": [{"shop": "x"}, {"shop": "y"}]}
    answer = requests.post(f"{server.url}/api/v1/features/read", json=read, headers=headers, timeout=10)
    assert answer.ok, answer.text
    spans = collector.wait(trace, ["POST /api/v1/features/read", "features"])
    assert spans["features"].parent_span_id == spans["POST /api/v1/features/read"].span_id
    of_read = said(spans["features"])
    assert (of_read["shipway.service.name"], of_read["shipway.rows"]) == ("shop_features", 2)
    assert of_read["shipway.service.hash"] == answer.json()["service_hash"]

    trace, headers = traced()
    build = {"service": "shop_features", "spine": {"table": "asked"}, "time": "q"}
    answer = requests.post(f"{server.url}/api/v1/training-sets", json=build, headers=headers, timeout=60)
    assert answer.ok and len(answer.content) > 100
    spans = collector.wait(trace, ["POST /api/v1/training-sets", "training_set"])
    assert said(spans["training_set"])["shipway.service.name"] == "shop_features"

    job = server.cli(
        "features", "training-set", "shop_features", "--spine", "asked", "--time", "q", "--table", "kept"
    )
    assert job["rows"] == 10

    def of_job() -> list[Span]:
        return [span for span in collector.spans if said(span).get("shipway.job.kind") == "training_set" and span.name == "job"]

    until(lambda: len(of_job()) == 1, of_job)
    (root,) = of_job()
    assert root.parent_span_id == b"" and said(root)["shipway.job.attempt"] == 1
    until(lambda: len(collector.of(root.trace_id.hex())) == 2, lambda: collector.of(root.trace_id.hex()))
    (made,) = [span for span in collector.of(root.trace_id.hex()) if span.name == "training_set"]
    assert made.parent_span_id == root.span_id and said(made)["shipway.table"] == "kept"
    server.stop()
    collector.close()


def test_a_server_that_stops_sends_what_waits(binary, tmp_path):
    collector = Collector()
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b,x-team=ml",
        "OTEL_SERVICE_NAME": "models",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
    }
    server = started(binary, tmp_path, **environment)
    traces = [traced() for _ in range(700)]
    with requests.Session() as session:
        for _, headers in traces:
            assert session.get(f"{server.url}/healthz", headers=headers, timeout=10).ok
    server.stop()
    assert {trace for trace, _ in traces} == {span.trace_id.hex() for span in collector.spans}
    assert collector.requests[0][0] == "/v1/traces"
    assert (collector.requests[0][1]["x-key"], collector.requests[0][1]["x-team"]) == ("a b", "ml")
    of_process = collector.resources[0]
    assert (of_process["service.name"], of_process["deployment.environment.name"]) == ("models", "test")
    collector.close()


def test_a_collector_that_is_away_or_hangs_costs_spans_and_no_request(binary, tmp_path):
    collector = Collector()
    collector.may_answer.clear()
    settings = {"SHIPWAY_SPANS__OTLP_ENDPOINT": collector.url, "SHIPWAY_SPANS__QUEUE": "50"}
    hanging = started(binary, tmp_path / "hanging", SHIPWAY_SPANS__OTLP_TIMEOUT_SECONDS="1", **settings)
    away = started(binary, tmp_path / "away", **settings | {"SHIPWAY_SPANS__OTLP_ENDPOINT": "http://127.0.0.1:1"})
    for server in (hanging, away):
        with requests.Session() as session:
            for _ in range(1_500):
                assert session.get(f"{server.url}/healthz", timeout=10).ok
        full = 'shipway_spans_dropped_total{reason="queue_full"}'
        until(lambda: metric(server.url, full) > 0, lambda: metric(server.url, full))
        lost = 'shipway_spans_dropped_total{reason="not_sent"}'
        until(lambda: metric(server.url, lost) > 0, lambda: metric(server.url, lost), 60)
        assert metric(server.url, "shipway_spans_sent_total") == 0
        until(lambda: "spans were lost" in server.log(), server.log)
        assert server.log().count("spans were lost") == 1, "it is said once a minute"
        assert requests.get(f"{server.url}/healthz", timeout=10).ok
    for server in (hanging, away):
        server.stop()
    collector.close()


def test_what_a_collector_refuses_is_counted_and_what_it_cannot_take_now_is_sent_again(binary, tmp_path):
    collector = Collector()
    server = started(binary, tmp_path, SHIPWAY_SPANS__OTLP_ENDPOINT=collector.url, SHIPWAY_SPANS__RATIO="0")

    def asks() -> str:
        trace, headers = traced()
        assert requests.get(f"{server.url}/healthz", headers=headers, timeout=10).ok
        return trace

    collector.answer = (503, b"not now")
    trace = asks()
    until(lambda: len(collector.requests) > 0, lambda: collector.requests)
    assert collector.of(trace) == []
    collector.answer = (200, b"")
    collector.wait(trace, ["GET /healthz"])

    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 1
    partial.partial_success.error_message = "too old"
    collector.answer = (200, partial.SerializeToString())
    asks()
    refused = 'shipway_spans_dropped_total{reason="refused"}'
    until(lambda: metric(server.url, refused) == 1, lambda: metric(server.url, refused))
    collector.answer = (401, b"who are you")
    asks()
    lost = 'shipway_spans_dropped_total{reason="not_sent"}'
    until(lambda: metric(server.url, lost) == 1, lambda: metric(server.url, lost))
    assert metric(server.url, "shipway_spans_sent_total") == 1
    assert "too old" in server.log()
    server.stop()
    collector.close()


def test_another_server_takes_the_spans_and_mlflow_reads_them(binary, tmp_path, server_url):
    mlflow.set_tracking_uri(server_url)
    experiment = mlflow.set_experiment("spans_of_a_server").experiment_id
    settings = {
        "SHIPWAY_SPANS__OTLP_ENDPOINT": f"{server_url}/v1/traces",
        "SHIPWAY_SPANS__OTLP_HEADERS": f"x-mlflow-experiment-id={experiment}",
        "SHIPWAY_SPANS__RATIO": "0",
    }
    server = started(binary, tmp_path, **settings)
    name = deploy(server.url, booster())
    trace, headers = traced()
    assert requests.post(f"{server.url}/api/v1/predict/{name}", json={"rows": [ROW]}, headers=headers, timeout=10).ok
    until(lambda: metric(server.url, "shipway_spans_sent_total") == 3, server.log)
    assert metric(server.url, 'shipway_spans_dropped_total{reason="refused"}') == 0
    server.stop()
    read = MlflowClient(server_url).get_trace(f"tr-{trace}")
    by_name = {span.name: span for span in read.data.spans}
    assert set(by_name) == {"POST /api/v1/predict/{deployment}", "predict", "compute"}
    assert by_name["compute"].parent_id == by_name["predict"].span_id
    assert by_name["compute"].attributes["shipway.rows"] == 1


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SHIPWAY_SPANS__RATIO", "1.5", "spans.ratio: 1.5 is no share"),
        ("SHIPWAY_SPANS__QUEUE", "0", "spans.queue"),
        ("SHIPWAY_SPANS__OTLP_ENDPOINT", "grpc://collector:4317", "spans.otlp_endpoint: it is not an address of http"),
        ("SHIPWAY_SPANS__OTLP_HEADERS", "hush", "spans.otlp_headers: each pair is name=value"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_start(binary, tmp_path, variable, value, words):
    environment = {"SHIPWAY_SPANS__OTLP_ENDPOINT": "http://127.0.0.1:4318", variable: value}
    ended = subprocess.run(
        [binary, "serve", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1 and words in ended.stderr, ended.stderr
    assert "hush" not in ended.stderr
