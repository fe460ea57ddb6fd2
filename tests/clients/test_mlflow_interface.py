"""MLflow's own web interface, out of the installed package, served by the real server: its page, its files, and the queries that it asks."""

import base64
import json
import re
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import mlflow
import pytest
from real_binary import Server

PACKAGE = Path(mlflow.__file__).parent
BUILD = PACKAGE / "server/js/build"
TOKEN = "a token of more than sixteen characters"


@pytest.fixture(scope="module")
def interface(binary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("interface")
    started = Server(binary, folder / "data", folder / "log", {"SHIPWAY_MLFLOW__INTERFACE": str(PACKAGE)})
    yield started
    started.stop()


def fetch(url, headers=None, body=None):
    request = urllib.request.Request(url, body, headers or {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_the_page_and_every_file_that_it_loads_are_those_of_the_package(interface):
    status, headers, page = fetch(interface.url + "/")
    assert status == 200 and page == (BUILD / "index.html").read_bytes()
    assert headers["content-type"].startswith("text/html") and headers["x-frame-options"] == "SAMEORIGIN"
    loaded = re.findall(r'(?:src|href)="\.?/?(static-files/[^"]+)"', page.decode())
    assert len(loaded) >= 3
    for path in loaded:
        status, headers, content = fetch(f"{interface.url}/{path}")
        assert status == 200 and content == (BUILD / path.removeprefix("static-files/")).read_bytes()
        assert headers["x-content-type-options"] == "nosniff"
    script = next(path for path in loaded if path.endswith(".js"))
    assert fetch(f"{interface.url}/{script}")[1]["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    ["../handlers.py", "..%2fhandlers.py", "%2e%2e/%2e%2e/handlers.py", "..%252f..%252fhandlers.py", "/etc/passwd", "static", "", "static/js/../../index.html%00"],
)
def test_a_path_that_is_no_file_of_it_finds_nothing(interface, path):
    status, _, content = fetch(f"{interface.url}/static-files/{path}")
    assert status in (400, 404) and b"import" not in content and b"root:" not in content


def queries():
    """The queries in the scripts of the package, as its interface sends them."""
    found = {}
    for script in (BUILD / "static/js").glob("*.js"):
        for template in re.findall(r"`(\s*(?:query|mutation) [A-Za-z]+\(.*?)`", script.read_text(errors="replace"), re.S):
            found[re.match(r"\s*\w+ ([A-Za-z]+)", template).group(1)] = template
    return found


def test_every_query_of_its_scripts_is_answered(interface):
    mlflow.set_tracking_uri(interface.url)
    experiment = mlflow.set_experiment(f"test_{uuid.uuid4().hex[:8]}")
    with mlflow.start_run(run_name="shown") as run:
        for step in range(3):
            mlflow.log_metric("auc", 0.5 + step / 10, step=step)
        mlflow.log_param("rate", 0.1)
    run_id, experiment_id = run.info.run_id, experiment.experiment_id
    variables = {
        "GetRun": {"data": {"runId": run_id}},
        "SearchRuns": {"data": {"experimentIds": [experiment_id], "filter": "metrics.auc > 0.1"}},
        "MlflowGetExperimentQuery": {"input": {"experimentId": experiment_id}},
        "GetMetricHistoryBulkInterval": {"data": {"runIds": [run_id], "metricKey": "auc", "startStep": None, "endStep": None, "maxResults": 320}},
    }
    known = queries()
    assert set(known) == set(variables), "the interface asks something else than it did"
    answers = {}
    for name, query in known.items():
        body = json.dumps({"operationName": name, "query": query, "variables": variables[name]}).encode()
        status, _, content = fetch(f"{interface.url}/graphql", {"content-type": "application/json"}, body)
        answer = json.loads(content)
        assert status == 200 and not answer["errors"], (name, answer)
        answers[name] = answer["data"]
    assert answers["GetRun"]["mlflowGetRun"]["run"]["info"]["runName"] == "shown"
    assert answers["SearchRuns"]["mlflowSearchRuns"]["runs"][0]["info"]["runUuid"] == run_id
    assert answers["MlflowGetExperimentQuery"]["mlflowGetExperiment"]["experiment"]["name"] == experiment.name
    points = answers["GetMetricHistoryBulkInterval"]["mlflowGetMetricHistoryBulkInterval"]["metrics"]
    assert [(point["step"], point["value"]) for point in points] == [("0", 0.5), ("1", 0.6), ("2", 0.7)]


def test_with_a_token_a_browser_is_asked_for_it(binary, tmp_path):
    server = Server(binary, tmp_path / "data", tmp_path / "log", {"SHIPWAY_MLFLOW__INTERFACE": str(BUILD), "SHIPWAY_TOKEN": TOKEN})
    try:
        status, headers, _ = fetch(server.url + "/")
        assert status == 401 and headers["www-authenticate"].startswith("Basic")
        login = base64.b64encode(f"ann:{TOKEN}".encode()).decode()
        assert fetch(server.url + "/", {"authorization": f"Basic {login}"})[0] == 200
    finally:
        server.stop()


def test_a_folder_without_it_is_refused_at_the_start(binary, tmp_path):
    from server import Failed

    with pytest.raises(Failed, match="tracking.no_interface"):
        Server(binary, tmp_path / "data", tmp_path / "log", {"SHIPWAY_MLFLOW__INTERFACE": str(tmp_path)})
