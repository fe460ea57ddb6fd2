"""Flink's Python client, in its own environment: hands jobs to a cluster on this machine. Runs for as long as its input is open.

    python flink_side.py '{"port": 8081, "settings": {"parallelism.default": "2", …}}'

A line of input is a job: {"name": …, "tables": [statement, …], "inserts": [statement, …], "explain": false}; a line of output tells its id, or its plan.
"""

from __future__ import annotations

import json
import sys

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment
from pyflink.version import __version__


def main() -> None:
    asked = json.loads(sys.argv[1])
    print(json.dumps({"version": __version__}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_start(json.loads(line), asked)), flush=True)


def _start(job: dict, asked: dict) -> dict:
    configuration = Configuration()
    settings = {
        **{"execution.target": "remote", "rest.address": "127.0.0.1", "rest.port": str(asked["port"]), "execution.attached": "false"},
        **{"pipeline.name": job["name"], "table.local-time-zone": "UTC", **asked["settings"]},
    }
    for key, value in settings.items():
        configuration.set_string(key, value)
    environment = TableEnvironment.create(EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration).build())
    for statement in job["tables"]:
        environment.execute_sql(statement)
    statements = environment.create_statement_set()
    for insert in job["inserts"]:
        statements.add_insert_sql(insert)
    if job.get("explain"):
        return {"plan": statements.explain()}
    client = statements.execute().get_job_client()
    return {"job": str(client.get_job_id())}


if __name__ == "__main__":
    main()
