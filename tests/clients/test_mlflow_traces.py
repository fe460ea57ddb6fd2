"""Traces of the unmodified MLflow client, and of plain OpenTelemetry, against the real server.

The fixture `server_url` gives the base URL of a running server with an empty data folder.
"""

import asyncio
import gzip
import json
import math
import time
import urllib.error
import urllib.request
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import mlflow
import pandas
import pytest
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource, SpanType, TraceState
from mlflow.exceptions import MlflowException
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status, StatusCode
from test_mlflow import client  # noqa: F401  fixture


@pytest.fixture
def experiment(client):
    """An experiment that no other test uses."""
    return mlflow.set_experiment(f"traces_{uuid.uuid4().hex[:12]}").experiment_id


@mlflow.trace(span_type=SpanType.TOOL)
def looks_up(city):
    span = mlflow.get_current_active_span()
    span.set_attributes({"city": city, "nested": {"list": [1, 2.5, None, True], "text": "x"}, "nothing": None})
    if city == "nowhere":
        raise ValueError("no such city")
    return {"city": city, "delay": 12.5}


@mlflow.trace(name="answer", attributes={"kind": "outer"})
def answers(question, cities):
    found = []
    for city in cities:
        try:
            found.append(looks_up(city))
        except ValueError:
            found.append(None)
    return {"question": question, "found": found}


def last_trace():
    mlflow.flush_trace_async_logging()
    return mlflow.get_trace(mlflow.get_last_active_trace_id())


def found(experiment, filter_string=None, **options):
    traces = mlflow.search_traces(
        locations=[experiment], filter_string=filter_string, return_type="list", **options
    )
    return [trace.info.trace_id for trace in traces]


def test_a_trace_of_nested_functions_comes_back_whole(experiment):
    answers("why late?", ["oslo", "nowhere"])
    trace = last_trace()
    info = trace.info
    assert info.state == TraceState.OK and info.experiment_id == experiment
    assert info.tags["mlflow.traceName"] == "answer"
    assert info.tags["mlflow.trace.spansLocation"] == "TRACKING_STORE"
    assert json.loads(info.request_preview) == {"question": "why late?", "cities": ["oslo", "nowhere"]}
    assert info.execution_duration >= 0
    root, first, second = trace.data.spans
    assert root.parent_id is None and {first.parent_id, second.parent_id} == {root.span_id}
    assert root.attributes["kind"] == "outer"
    assert root.inputs == {"question": "why late?", "cities": ["oslo", "nowhere"]}
    assert root.outputs == {"question": "why late?", "found": [{"city": "oslo", "delay": 12.5}, None]}
    assert first.span_type == SpanType.TOOL
    assert first.attributes["nested"] == {"list": [1, 2.5, None, True], "text": "x"}
    assert first.attributes["nothing"] is None
    assert first.status.status_code == "OK" and second.status.status_code == "ERROR"
    (event,) = second.events
    assert event.name == "exception" and event.attributes["exception.message"] == "no such city"
    assert event.attributes["exception.type"] == "ValueError"


def test_spans_are_equal_to_what_was_recorded(experiment):
    with mlflow.start_span("odd values") as span:
        span.set_inputs({"text": "ärger \U0001f6a2", "quote": "it's \"x\"", "empty": {}, "list": []})
        span.set_outputs(float("nan"))
        span.set_attributes({"large": 2**62, "small": -(2**62), "float": 1e300, "flag": False, "json": "[1]"})
        recorded = span
    mlflow.flush_trace_async_logging()
    (read,) = mlflow.get_trace(recorded.trace_id).data.spans
    sent = recorded.to_immutable_span().to_dict() if hasattr(recorded, "to_immutable_span") else recorded.to_dict()
    assert read.inputs == recorded.inputs
    assert math.isnan(read.outputs)
    for key in ["large", "small", "float", "flag"]:
        assert read.attributes[key] == recorded.attributes[key], key
    for key in ["trace_id", "span_id", "parent_span_id", "name", "start_time_unix_nano", "end_time_unix_nano"]:
        assert read.to_dict()[key] == sent[key], key


def test_a_trace_that_fails_says_so(experiment):
    @mlflow.trace
    def breaks():
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        breaks()
    trace = last_trace()
    assert trace.info.state == TraceState.ERROR
    assert found(experiment, "status = 'ERROR'") == [trace.info.trace_id]
    assert found(experiment, "status = 'OK'") == []


def test_tasks_and_threads_record_into_one_trace_or_into_their_own(experiment):
    @mlflow.trace
    async def part(number):
        await asyncio.sleep(0)
        return number

    @mlflow.trace
    async def whole():
        return sum(await asyncio.gather(*(part(number) for number in range(20))))

    assert asyncio.run(whole()) == 190
    trace = last_trace()
    assert len(trace.data.spans) == 21
    assert sorted(span.outputs for span in trace.data.spans if span.name == "part") == list(range(20))

    @mlflow.trace
    def threads():
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda number: copy_context().run(looks_up, f"city {number}"), range(8)))

    threads()
    mlflow.flush_trace_async_logging()
    assert len(found(experiment)) == 1 + 1 + 8, "a thread without the context has a trace of its own"


def test_searches_filter_order_and_page(experiment):
    for number in range(7):
        with mlflow.start_span(f"trace {number}", span_type="CHAIN") as span:
            span.set_inputs({"number": number})
            span.set_attribute("model", "Small" if number % 2 else "Large")
            mlflow.update_current_trace(tags={"parity": "odd" if number % 2 else "even"}, session_id=f"s{number % 3}")
        time.sleep(0.005)  # so that no two traces start in the same millisecond
    mlflow.flush_trace_async_logging()
    ids = list(reversed(found(experiment, order_by=["timestamp_ms ASC"])))
    assert found(experiment) == ids and len(ids) == 7
    for filter_string, expected in [
        ("tags.parity = 'odd'", [1, 3, 5]),
        ("trace.name = 'trace 4'", [4]),
        ("trace.name LIKE 'trace %' AND tag.parity != 'odd'", [0, 2, 4, 6]),
        ("metadata.`mlflow.trace.session` = 's1'", [1, 4]),
        ("span.name = 'trace 2'", [2]),
        ("span.type = 'CHAIN' AND span.attributes.model = 'Small'", [1, 3, 5]),
        ("span.attributes.model RLIKE '^L'", [0, 2, 4, 6]),
        ("trace.text LIKE '%number%'", [0, 1, 2, 3, 4, 5, 6]),
        ("trace.status = 'OK' AND trace.timestamp_ms > 0", [0, 1, 2, 3, 4, 5, 6]),
        ("tags.none IS NULL AND tags.parity = 'odd'", [1, 3, 5]),
    ]:
        wanted = [ids[6 - number] for number in reversed(expected)]
        assert found(experiment, filter_string) == wanted, filter_string
    pages, token = [], None
    while True:
        page = MlflowClient().search_traces(locations=[experiment], max_results=3, page_token=token)
        pages.append([trace.info.trace_id for trace in page])
        token = page.token
        if not token:
            break
    assert [len(page) for page in pages] == [3, 3, 1] and sum(pages, []) == ids
    frame = mlflow.search_traces(locations=[experiment], max_results=2)
    assert isinstance(frame, pandas.DataFrame) and len(frame) == 2
    with pytest.raises(MlflowException, match=r"'OR' at position 17; expected AND"):
        found(experiment, "tags.a = 'odd'  OR tags.a = 'even'")
    with pytest.raises(MlflowException, match="Invalid entity type 'metrics'"):
        found(experiment, "metrics.a > 1")


def test_tags_are_set_and_deleted(client, experiment):
    answers("q", [])
    trace_id = last_trace().info.trace_id
    client.set_trace_tag(trace_id, "team", "ops")
    assert mlflow.get_trace(trace_id).info.tags["team"] == "ops"
    client.delete_trace_tag(trace_id, "team")
    assert "team" not in mlflow.get_trace(trace_id).info.tags
    with pytest.raises(MlflowException, match="team"):
        client.delete_trace_tag(trace_id, "team")
    client.set_trace_tag(trace_id, "mlflow.trace.spansLocation", "ARTIFACT_REPO")  # the client drops it with a warning
    assert mlflow.get_trace(trace_id).info.tags["mlflow.trace.spansLocation"] == "TRACKING_STORE"


def test_feedback_is_logged_updated_overridden_and_deleted(experiment):
    answers("q", ["oslo"])
    trace = last_trace()
    trace_id = trace.info.trace_id
    human = AssessmentSource(source_type="HUMAN", source_id="ann")
    first = mlflow.log_feedback(
        trace_id=trace_id, name="helpful", value=0.25, rationale="meh", source=human, metadata={"round": "1"},
        span_id=trace.data.spans[1].span_id,
    )
    assert first.assessment_id.startswith("a-") and first.valid
    assert found(experiment, "feedback.helpful < 0.5") == [trace_id]
    updated = mlflow.update_assessment(
        trace_id, first.assessment_id, mlflow.entities.Feedback(name="helpful", value=0.75, rationale="better")
    )
    assert updated.value == 0.75 and updated.rationale == "better" and updated.metadata == {"round": "1"}
    over = mlflow.override_feedback(
        trace_id=trace_id, assessment_id=first.assessment_id, value=1.0, source=human, rationale="good"
    )
    info = mlflow.get_trace(trace_id).info
    by_id = {assessment.assessment_id: assessment for assessment in info.assessments}
    assert not by_id[first.assessment_id].valid and by_id[over.assessment_id].overrides == first.assessment_id
    assert found(experiment, "feedback.helpful = '1'") == [trace_id]
    mlflow.delete_assessment(trace_id, over.assessment_id)
    assert mlflow.get_assessment(trace_id, first.assessment_id).valid
    failed = mlflow.log_feedback(trace_id=trace_id, name="judged", error=ValueError("judge broke"))
    assert mlflow.get_assessment(trace_id, failed.assessment_id).error.error_message == "judge broke"
    for value in ["good", True, 3, ["a", 1], {"a": {"b": [1.5]}}]:
        logged = mlflow.log_feedback(trace_id=trace_id, name="any", value=value)
        assert mlflow.get_assessment(trace_id, logged.assessment_id).value == value
    with pytest.raises(MlflowException, match="not found"):
        mlflow.get_assessment(trace_id, "a-none")


def test_expectations_are_logged_updated_and_deleted(experiment):
    answers("q", [])
    trace_id = last_trace().info.trace_id
    for value in ["Oslo", 4, {"city": "Oslo", "delays": [1, 2.5]}, ["a", None]]:
        logged = mlflow.log_expectation(trace_id=trace_id, name="answer", value=value)
        assert mlflow.get_assessment(trace_id, logged.assessment_id).value == value
    updated = mlflow.update_assessment(
        trace_id, logged.assessment_id, mlflow.entities.Expectation(name="answer", value="Bergen")
    )
    assert updated.value == "Bergen"
    assert found(experiment, "expectation.answer = 'Bergen'") == [trace_id]
    mlflow.delete_assessment(trace_id, logged.assessment_id)
    assert found(experiment, "expectation.answer = 'Bergen'") == []


def test_traces_belong_to_runs(client, experiment):
    with mlflow.start_run() as run:
        answers("within", [])
    mlflow.flush_trace_async_logging()
    within = mlflow.get_last_active_trace_id()
    answers("apart", [])
    mlflow.flush_trace_async_logging()
    apart = mlflow.get_last_active_trace_id()
    assert found(experiment, run_id=run.info.run_id) == [within]
    client.link_traces_to_run([apart], run.info.run_id)
    assert found(experiment, run_id=run.info.run_id) == [apart, within]
    with pytest.raises(MlflowException, match="more than 100"):
        client.link_traces_to_run([f"tr-{number}" for number in range(101)], run.info.run_id)


def test_traces_are_found_by_the_prompts_that_they_used(experiment):
    prompt = mlflow.genai.register_prompt(name=f"prompt_{uuid.uuid4().hex[:12]}", template="Hello {{name}}")

    @mlflow.trace
    def greets():
        return mlflow.genai.load_prompt(prompt.name, version=prompt.version).format(name="Ann")

    assert greets() == "Hello Ann"
    trace = last_trace()
    assert found(experiment, f"prompt = '{prompt.name}/{prompt.version}'") == [trace.info.trace_id]
    assert found(experiment, f"prompt = '{prompt.name}/99'") == []


def test_traces_are_deleted_by_id_and_by_time(client, experiment):
    ids = []
    for number in range(5):
        answers(f"q{number}", ["oslo"])
        ids.append(last_trace().info.trace_id)
        time.sleep(0.005)
    assert client.delete_traces(experiment_id=experiment, trace_ids=ids[:1]) == 1
    with pytest.raises(MlflowException, match="not found"):
        client.get_trace(ids[0])
    now = int(time.time() * 1000)
    assert client.delete_traces(experiment_id=experiment, max_timestamp_millis=now, max_traces=2) == 2
    assert found(experiment) == [ids[4], ids[3]]
    assert client.delete_traces(experiment_id=experiment, max_timestamp_millis=now) == 2
    assert found(experiment) == []


def test_a_trace_of_thousands_of_spans_is_whole(experiment):
    with mlflow.start_span("large") as root:
        for number in range(3_000):
            with mlflow.start_span(f"step {number}") as span:
                span.set_attribute("number", number)
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_trace(root.trace_id)
    assert len(trace.data.spans) == 3_001
    assert [span.attributes["number"] for span in trace.data.spans[1:]] == list(range(3_000))


def test_an_evaluation_scores_traces(client, experiment):
    @mlflow.genai.scorer
    def is_short(outputs):
        return len(outputs) < 10

    @mlflow.genai.scorer
    def matches(outputs, expectations):
        return mlflow.entities.Feedback(value=float(outputs == expectations["expected_response"]), rationale="compared")

    data = [
        {"inputs": {"question": "short"}, "expectations": {"expected_response": "short"}},
        {"inputs": {"question": "a much longer question"}, "expectations": {"expected_response": "no"}},
    ]
    result = mlflow.genai.evaluate(data=data, predict_fn=lambda question: question, scorers=[is_short, matches])
    assert result.metrics["is_short/mean"] == 0.5 and result.metrics["matches/mean"] == 0.5
    mlflow.flush_trace_async_logging()
    of_run = found(experiment, run_id=result.run_id)
    assert len(of_run) == 2
    assert len(found(experiment, "feedback.is_short = 'true'")) == 1
    assert len(found(experiment, "feedback.matches < 0.5 AND expectation.expected_response = 'no'")) == 1


class Exporter(SpanExporter):
    """Sends spans of the plain SDK as protobuf over HTTP, as its own exporter does."""

    def __init__(self, url, headers):
        self.url, self.headers = url, headers

    def export(self, spans):
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        for key, value in spans[0].resource.attributes.items():
            resource.resource.attributes.add(key=key).value.string_value = str(value)
        scope = resource.scope_spans.add()
        for span in spans:
            sent = scope.spans.add(
                trace_id=span.context.trace_id.to_bytes(16, "big"),
                span_id=span.context.span_id.to_bytes(8, "big"),
                parent_span_id=span.parent.span_id.to_bytes(8, "big") if span.parent else b"",
                name=span.name,
                start_time_unix_nano=span.start_time,
                end_time_unix_nano=span.end_time,
            )
            sent.status.code = span.status.status_code.value
            sent.status.message = span.status.description or ""
            for key, value in span.attributes.items():
                attribute = sent.attributes.add(key=key).value
                if isinstance(value, int):
                    attribute.int_value = value
                else:
                    attribute.string_value = value
        answer = posts(self.url, request.SerializeToString(), self.headers)
        ExportTraceServiceResponse.FromString(answer)
        return SpanExportResult.SUCCESS


def posts(url, body, headers):
    headers = {"content-type": "application/x-protobuf", **headers}
    request = urllib.request.Request(f"{url}/v1/traces", data=body, headers=headers)
    with urllib.request.urlopen(request) as response:
        assert response.headers["content-type"] == headers["content-type"]
        return response.read()


def test_spans_of_plain_opentelemetry_are_a_trace(client, server_url, experiment):
    provider = TracerProvider()
    run = client.create_run(experiment)
    headers = {"x-mlflow-experiment-id": experiment, "x-mlflow-run-id": run.info.run_id}
    provider.add_span_processor(SimpleSpanProcessor(Exporter(server_url, headers)))
    tracer = provider.get_tracer("shop")
    with tracer.start_as_current_span("checkout") as root:
        root.set_attribute("input.value", '{"basket": [1, 2]}')
        root.set_attribute("output.value", "paid")
        with tracer.start_as_current_span("call") as call:
            call.set_attribute("gen_ai.operation.name", "chat")
            call.set_attribute("gen_ai.usage.input_tokens", 11)
            call.set_attribute("gen_ai.usage.output_tokens", 4)
            call.set_status(Status(StatusCode.ERROR, "refused"))
    trace = mlflow.get_trace(f"tr-{root.get_span_context().trace_id:032x}")
    assert trace.info.state == TraceState.OK
    assert trace.info.request_preview == '{"basket": [1, 2]}' and trace.info.response_preview == '"paid"'
    assert trace.info.token_usage == {"input_tokens": 11, "output_tokens": 4, "total_tokens": 15}
    assert trace.info.tags["service.name"].startswith("unknown_service")
    assert [span.name for span in trace.data.spans] == ["checkout", "call"]
    assert trace.data.spans[0].inputs == {"basket": [1, 2]}
    assert trace.data.spans[1].span_type == SpanType.CHAT_MODEL
    assert trace.data.spans[1].status.description == "refused"
    assert found(experiment, "span.status = 'ERROR'", run_id=run.info.run_id) == [trace.info.trace_id]


def test_exports_are_taken_packed_and_as_json_and_nothing_else(client, server_url, experiment):
    headers = {"x-mlflow-experiment-id": experiment}

    def export(number):
        request = ExportTraceServiceRequest()
        span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=bytes([number]) * 16, span_id=b"12345678")
        span.start_time_unix_nano, span.end_time_unix_nano = 1_000_000, 2_000_000
        return request.SerializeToString()

    posts(server_url, gzip.compress(export(1)), {**headers, "content-encoding": "gzip"})
    posts(server_url, zlib.compress(export(2)), {**headers, "content-encoding": "deflate"})
    span = {"traceId": "03" * 16, "spanId": "0a" * 8, "name": "json", "startTimeUnixNano": "1000000"}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    posts(server_url, json.dumps(body).encode(), {**headers, "content-type": "application/json"})
    assert sorted(found(experiment)) == [f"tr-{f'{number:02x}' * 16}" for number in (1, 2, 3)]
    for body, more in [
        (b"", {}),
        (b"nonsense", {}),
        (b"nonsense", {"content-encoding": "gzip"}),
        (export(4), {"content-encoding": "br"}),
        (export(4), {"content-type": "text/plain"}),
        (export(4), {"x-mlflow-experiment-id": ""}),
    ]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            posts(server_url, body, {**headers, **more})
        assert refused.value.code == 400, (body, more)
    bomb = gzip.compress(bytes(65 * 1024 * 1024))
    with pytest.raises(urllib.error.HTTPError) as refused:
        posts(server_url, bomb, {**headers, "content-encoding": "gzip"})
    assert refused.value.code == 413
    assert len(found(experiment)) == 3
    elsewhere = urllib.request.Request(
        f"{server_url}/api/2.0/mlflow/runs/search", data=b"{}", headers={"content-encoding": "deflate"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(elsewhere)
    assert refused.value.code == 415, "other paths unpack gzip only"


def test_sessions_share_what_is_thought_of_them(experiment):
    ids = []
    for number in range(2):
        with mlflow.start_span("turn"):
            mlflow.update_current_trace(metadata={"mlflow.trace.session": "talk"})
        mlflow.flush_trace_async_logging()
        ids.append(mlflow.get_last_active_trace_id())
    mlflow.log_feedback(trace_id=ids[0], name="polite", value="yes", metadata={"mlflow.trace.session": "talk"})
    mlflow.log_feedback(trace_id=ids[0], name="alone", value="yes")
    assert sorted(found(experiment, "feedback.polite = 'yes'")) == sorted(ids)
    assert found(experiment, "feedback.alone = 'yes'") == [ids[0]]
    assert found(experiment, "feedback.alone IS NULL") == [ids[1]]
