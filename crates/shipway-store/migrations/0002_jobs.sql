-- Work that outlives a request and a process. `state` goes from queued to running to done, failed or cancelled; a job that
-- was running when its process ended is queued again. Payload and result are JSON in the words of the job's kind.
CREATE TABLE jobs (
    id               TEXT   NOT NULL PRIMARY KEY,
    kind             TEXT   NOT NULL,
    subject          TEXT   NOT NULL,
    payload          TEXT   NOT NULL,
    actor            TEXT   NOT NULL,
    state            TEXT   NOT NULL,
    phase            TEXT   NOT NULL,
    progress_done    BIGINT NOT NULL,
    progress_total   BIGINT,
    result           TEXT,
    error_code       TEXT,
    error_message    TEXT,
    error_hint       TEXT,
    attempts         BIGINT NOT NULL,
    cancel_requested BIGINT NOT NULL,
    created_us       BIGINT NOT NULL,
    started_us       BIGINT,
    ended_us         BIGINT,
    heartbeat_us     BIGINT
);

CREATE INDEX jobs_by_state ON jobs (state, id);
