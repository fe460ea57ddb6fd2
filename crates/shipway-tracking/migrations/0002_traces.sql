-- Traces: what one request did, as a tree of spans, and what is thought of it. Times that end in _ms are milliseconds and
-- those that end in _ns nanoseconds since the epoch; flags are 0 or 1.

-- name is the tag mlflow.traceName, session_id the metadata mlflow.trace.session: both are searched often, and kept here only.
-- source_run_id repeats the metadata mlflow.sourceRun, and the columns of tokens repeat mlflow.trace.tokenUsage as numbers.
-- finalized says that the client has told the whole of it, so that spans which come later add nothing to it.
CREATE TABLE traces (
    trace_id TEXT NOT NULL PRIMARY KEY,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    timestamp_ms BIGINT NOT NULL,
    execution_ms BIGINT,
    state TEXT NOT NULL,
    client_request_id TEXT,
    request_preview TEXT,
    response_preview TEXT,
    name TEXT,
    session_id TEXT,
    source_run_id TEXT,
    finalized BIGINT NOT NULL,
    artifact_root TEXT NOT NULL UNIQUE,
    input_tokens BIGINT,
    output_tokens BIGINT,
    total_tokens BIGINT,
    cache_read_input_tokens BIGINT,
    cache_creation_input_tokens BIGINT
);

CREATE INDEX traces_by_experiment ON traces (experiment_id, timestamp_ms, trace_id);

CREATE INDEX traces_by_session ON traces (session_id);

CREATE INDEX traces_by_source_run ON traces (source_run_id);

CREATE TABLE trace_tags (
    trace_id TEXT NOT NULL REFERENCES traces (trace_id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (trace_id, key)
);

CREATE TABLE trace_metadata (
    trace_id TEXT NOT NULL REFERENCES traces (trace_id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (trace_id, key)
);

-- content is the whole span as JSON; the other columns repeat what is searched, ordered by and summed. place orders the spans
-- of a trace: 0 for those without a parent, 1 for the others. usage and cost are JSON objects of tokens and of money.
CREATE TABLE trace_spans (
    trace_id TEXT NOT NULL REFERENCES traces (trace_id) ON DELETE CASCADE,
    span_id TEXT NOT NULL,
    parent_span_id TEXT,
    place BIGINT NOT NULL,
    name TEXT NOT NULL,
    span_type TEXT,
    status TEXT NOT NULL,
    start_ns BIGINT NOT NULL,
    end_ns BIGINT,
    usage TEXT,
    cost TEXT,
    input_cost DOUBLE PRECISION,
    output_cost DOUBLE PRECISION,
    total_cost DOUBLE PRECISION,
    model_name TEXT,
    model_provider TEXT,
    content_bytes BIGINT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (trace_id, span_id)
);

CREATE INDEX trace_spans_in_order ON trace_spans (trace_id, place, start_ns, span_id);

-- kind is feedback, expectation or issue. body, error and metadata are JSON; number is the value where it counts as one, and
-- is_number says that the value itself is a number. session_scoped says that it holds for all traces of the session.
CREATE TABLE trace_assessments (
    assessment_id TEXT NOT NULL PRIMARY KEY,
    trace_id TEXT NOT NULL REFERENCES traces (trace_id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    error TEXT,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    source_type TEXT NOT NULL,
    source_id TEXT NOT NULL,
    span_id TEXT,
    rationale TEXT,
    metadata TEXT,
    overrides TEXT,
    valid BIGINT NOT NULL,
    number DOUBLE PRECISION,
    is_number BIGINT NOT NULL,
    session_scoped BIGINT NOT NULL
);

CREATE INDEX trace_assessments_by_trace ON trace_assessments (trace_id, created_ms, assessment_id);

-- A trace may be linked to a run before it arrives, so its id is no reference.
CREATE TABLE trace_runs (
    trace_id TEXT NOT NULL,
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    PRIMARY KEY (trace_id, run_id)
);

CREATE INDEX trace_runs_by_run ON trace_runs (run_id);

CREATE TABLE trace_prompts (
    trace_id TEXT NOT NULL REFERENCES traces (trace_id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (trace_id, name, version)
);
