"""The tables of a state store."""

from __future__ import annotations

from collections.abc import Iterator

FORMAT_VERSION = 2

_SINCE_1 = """
CREATE TABLE main.flows (
    dataflow_id {text} PRIMARY KEY,
    name {text} NOT NULL,
    sequence {integer} NOT NULL,
    position {text} NOT NULL,
    version {integer},
    origin {text} NOT NULL,
    run_id {text},
    updated_at {text} NOT NULL
){keyed};
CREATE TABLE main.leases (
    key {text} PRIMARY KEY,
    owner {text},
    epoch {integer} NOT NULL,
    expires_at {text} NOT NULL
){keyed};
CREATE TABLE main.reports (
    id {identity},
    run_id {text} NOT NULL,
    dataflow_id {text} NOT NULL,
    report {text} NOT NULL
)"""
_SINCE_2 = """
CREATE INDEX leases_held ON main.leases (key) WHERE owner IS NOT NULL;
CREATE INDEX reports_by_flow ON main.reports (dataflow_id, id);
CREATE INDEX reports_by_run ON main.reports (run_id, id);
CREATE TABLE main.units (
    key {text} PRIMARY KEY,
    scope {text} NOT NULL,
    status {text} NOT NULL,
    run_id {text},
    detail {text},
    marked_at {text} NOT NULL
){keyed};
CREATE INDEX units_by_scope ON main.units (scope, key, status);
CREATE TABLE main.replays (
    replay_id {text} PRIMARY KEY,
    dataflow_id {text} NOT NULL,
    spec {text} NOT NULL,
    status {text} NOT NULL,
    created_at {text} NOT NULL
){keyed};
CREATE INDEX replays_by_flow ON main.replays (dataflow_id, created_at);
CREATE TABLE main.runs (
    run_id {text} PRIMARY KEY,
    command {text} NOT NULL,
    started_at {text} NOT NULL,
    ended_at {text},
    job_id {text},
    job_num {integer} NOT NULL,
    job_index {integer} NOT NULL,
    flows {text} NOT NULL,
    summary {text}
){keyed};
CREATE INDEX runs_by_start ON main.runs (started_at);
CREATE INDEX runs_by_job ON main.runs (job_id, started_at)"""
_FROM_1 = """
ALTER TABLE main.leases RENAME COLUMN dataflow_id TO key;
ALTER TABLE main.units RENAME TO reports;
DROP INDEX main.units_by_flow"""


def statements(version: int, **words: str) -> Iterator[str]:
    """Yield the statements that bring a store of this format to the newest.

    Args:
        version: Its format; 0 when there is nothing yet.
        **words: What the database calls `text`, `integer` and `identity`, and `keyed`: how a table ends that has no
            rows but by its key.
    """
    script = f"{_SINCE_1};{_SINCE_2}" if version == 0 else f"{_FROM_1};{_SINCE_2}"
    for statement in script.format(**words).split(";"):
        yield statement.strip()
