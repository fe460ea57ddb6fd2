"""Every kind of filter and order that `search_runs` has, with the unmodified MLflow client against the real server."""

import math
import uuid

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException

START_MS = 1_700_000_000_000
RUNS = ["ant", "bee", "cat", "Dog"]


@pytest.fixture(scope="module")
def found(server_url):
    """Finds the names of runs by a filter, in order, in an experiment of four runs that differ in everything."""
    client = MlflowClient(server_url)
    experiment_id = client.create_experiment(f"search_{uuid.uuid4().hex[:12]}")
    metrics = {
        "ant": {"auc": 0.1, "loss": -1.5e-3, "a b": 1, "val/f1-score": 0.5},
        "bee": {"auc": 0.2, "loss": math.nan, "a b": 2},
        "cat": {"auc": 0.2, "loss": 2},
        "Dog": {"other": math.inf},
    }
    params = {"ant": {"kind": "linear", "d": "10"}, "bee": {"kind": "Linear_2"}, "cat": {"kind": "it is 100%"}, "Dog": {"from": "x"}}
    tags = {"ant": {"team": "ops", "my tag": "1"}, "bee": {"team": "Ops"}, "cat": {"team": "research", "a.b.c": "dots"}, "Dog": {}}
    ids = {}
    for number, name in enumerate(RUNS):
        run = client.create_run(experiment_id, START_MS + 1000 * number, {**tags[name], "mlflow.user": f"user-{number % 2}"}, name)
        ids[name] = run.info.run_id
        points = [Metric(key, value, START_MS, 1) for key, value in metrics[name].items()]
        # An earlier point of every metric: filters and orders see the latest alone.
        points += [Metric(key, 77, START_MS, 0) for key in metrics[name]]
        client.log_batch(run.info.run_id, points, [Param(key, value) for key, value in params[name].items()])
    client.set_terminated(ids["ant"], "FINISHED", START_MS + 10_000)
    client.set_terminated(ids["bee"], "FAILED", START_MS + 20_000)
    for name, dataset, digest, context in [("ant", "iris", "d1", "train"), ("bee", "Iris2", "d2", "eval")]:
        kept = Dataset(name=dataset, digest=digest, source_type="local", source="{}", schema=None, profile=None)
        client.log_inputs(ids[name], [DatasetInput(kept, [InputTag("mlflow.data.context", context)])])
    names = {run_id: name for name, run_id in ids.items()}

    def search(words="", order_by=None, **options):
        for name, run_id in ids.items():
            words = words.replace(f"<{name}>", run_id)
        answered = client.search_runs([experiment_id], words, order_by=order_by, **options)
        return [names[run.info.run_id] for run in answered]

    search.client, search.experiment_id, search.ids = client, experiment_id, ids
    return search


FILTERS = [
    ("", "ant bee cat Dog"),
    ("metrics.auc > 0.1", "bee cat"),
    ("metrics.auc >= 0.1", "ant bee cat"),
    ("metrics.auc = 0.2", "bee cat"),
    ("metrics.auc != 0.2", "ant"),
    ("metrics.auc < 0.2", "ant"),
    ("metrics.auc <= 0.2", "ant bee cat"),
    ("metrics.auc > 50", ""),
    ("metrics.loss < -1e-3", "ant"),
    ("metrics.loss > -2.5e1", "ant cat"),
    ("metrics.other > 1e300", "Dog"),
    ("metric.`a b` > 1", "bee"),
    ('metrics."a b" = 1', "ant"),
    ("metrics.`val/f1-score` = 0.5", "ant"),
    ("params.kind = 'linear'", "ant"),
    ("params.kind != 'linear'", "bee cat"),
    ("params.kind LIKE 'lin%'", "ant"),
    ("params.kind ILIKE 'lin%'", "ant bee"),
    ("params.kind like '%_inear_2'", "bee"),
    ("params.kind LIKE '%100%'", "cat"),
    ("param.d = '10'", "ant"),
    ('parameter.kind = "linear"', "ant"),
    ("parameters.kind = 'it is 100%'", "cat"),
    ("params.d IS NULL", "bee cat Dog"),
    ("params.d IS NOT NULL", "ant"),
    ("params.`from` = 'x'", "Dog"),
    ("tags.team = 'ops'", "ant"),
    ("tag.team != 'ops'", "bee cat"),
    ("tags.team ILIKE 'OPS'", "ant bee"),
    ("tags.team IS NULL", "Dog"),
    ("tags.team IS NOT NULL AND tags.team LIKE 'r%'", "cat"),
    ("tags.`my tag` = '1'", "ant"),
    ("tags.a.b.c = 'dots'", "cat"),
    ("tags.mlflow.runName = 'Dog'", "Dog"),
    ("attributes.status = 'FINISHED'", "ant"),
    ("attribute.status != 'RUNNING'", "ant bee"),
    ("status LIKE 'F%'", "ant bee"),
    ("attr.run_name = 'bee'", "bee"),
    ("run_name ILIKE 'd%'", "Dog"),
    ("run_name LIKE 'd%'", ""),
    ("attributes.`run name` = 'cat'", "cat"),
    ("attributes.`Run Name` != 'cat'", "ant bee Dog"),
    ("run.run_name = 'ant'", "ant"),
    ("attributes.run_id = '<cat>'", "cat"),
    ("run_id != '<cat>'", "ant bee Dog"),
    ("attributes.run_id IN ('<ant>', '<Dog>')", "ant Dog"),
    ("attributes.run_id NOT IN ('<ant>', '<Dog>')", "bee cat"),
    ("attributes.artifact_uri LIKE '%<bee>%'", "bee"),
    ("attributes.user_id = 'user-1'", "bee Dog"),
    ("user_id LIKE 'user-%' AND user_id != 'user-1'", "ant cat"),
    ("tags.mlflow.user = 'user-0'", "ant cat"),
    (f"attributes.start_time > {START_MS}", "bee cat Dog"),
    (f"start_time <= {START_MS + 1000}", "ant bee"),
    (f"attributes.created = {START_MS + 2000}", "cat"),
    (f"end_time >= {START_MS + 15_000}", "bee"),
    (f"attributes.end_time != {START_MS + 20_000}", "ant"),
    ("dataset.name = 'iris'", "ant"),
    ("datasets.name ILIKE 'IRIS%'", "ant bee"),
    ("dataset.name != 'iris'", "bee"),
    ("dataset.digest = 'd2'", "bee"),
    ("dataset.digest IN ('d1', 'd9')", "ant"),
    ("dataset.name NOT IN ('iris')", "bee"),
    ("dataset.context = 'train'", "ant"),
    ("dataset.name = 'iris' AND dataset.context = 'eval'", ""),
    ("metrics.auc > 0.1 and params.kind ILIKE 'l%' AND tags.team = 'Ops' And status = 'FAILED'", "bee"),
    ("metrics.auc > 0.05 AND metrics.auc < 0.15", "ant"),
    ("params.none = 'a'", ""),
]


@pytest.mark.parametrize(("words", "names"), FILTERS)
def test_a_filter_finds(found, words, names):
    assert sorted(found(words)) == sorted(names.split())


ORDERS = [
    ([], "Dog cat bee ant"),
    (["start_time ASC"], "ant bee cat Dog"),
    (["attributes.start_time DESC"], "Dog cat bee ant"),
    (["attribute.end_time"], "ant bee Dog cat"),
    (["attribute.end_time DESC"], "bee ant Dog cat"),
    (["metrics.auc"], "ant cat bee Dog"),
    (["metrics.auc DESC"], "cat bee ant Dog"),
    (["metrics.auc DESC", "attributes.start_time ASC"], "bee cat ant Dog"),
    (["metrics.loss ASC"], "ant cat bee Dog"),
    (["metrics.loss DESC"], "cat ant bee Dog"),
    (["metrics.`a b` DESC"], "bee ant Dog cat"),
    (["params.d"], "ant Dog cat bee"),
    (["params.kind DESC"], "ant cat bee Dog"),
    (["tags.team ASC"], "bee ant cat Dog"),
    (["tag.`my tag`"], "ant Dog cat bee"),
    (["status", "start_time"], "bee ant cat Dog"),
    (["attributes.run_name DESC"], "cat bee ant Dog"),
]


@pytest.mark.parametrize(("order", "names"), ORDERS)
def test_an_order_sorts(found, order, names):
    assert found(order_by=order) == names.split()


@pytest.mark.parametrize("order", ["metrics.auc DESC", "params.d", "start_time"])
def test_pages_hold_every_run_once(found, order):
    whole, seen, token = found(order_by=[order]), [], None
    for _ in range(4):
        page = found.client.search_runs([found.experiment_id], order_by=[order], max_results=1, page_token=token)
        seen += [run.info.run_name for run in page]
        token = page.token
    assert seen == whole and not token


WRONG = [
    "metrics.auc > 0.1 OR metrics.auc < 0.2",
    "(metrics.auc > 0.1)",
    "NOT metrics.auc > 0.1",
    "metrics.auc > 'text'",
    "metrics.auc LIKE '0%'",
    "metrics.auc > nan",
    "metrics.auc IS NULL",
    "metrics.auc >",
    "params.kind = linear",
    "params.kind > 'a'",
    "params.d = 10",
    "tags.team = 1",
    "tags.team IN ('a')",
    "attributes.status IS NULL",
    "attributes.start_time LIKE '1%'",
    "attributes.start_time > '1'",
    "attributes.colour = 'red'",
    "colours.red = 'red'",
    "dataset.colour = 'red'",
    "metrics.auc > 0.1; metrics.auc > 0.2",
    "attributes.run_id IN ()",
    "attributes.run_id IN 'a'",
    "AND metrics.auc > 0.1",
    "metrics.auc > 0.1 metrics.loss > 0",
    "params.kind = 'open",
]


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_filter_is_refused(found, words):
    with pytest.raises(MlflowException) as refused:
        found(words)
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("order", [["metrics.auc UP"], ["colour"], ["dataset.name"], ["metrics.auc ASC DESC"]])
def test_a_wrong_order_is_refused(found, order):
    with pytest.raises(MlflowException) as refused:
        found(order_by=order)
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("options", [{"max_results": 0}, {"max_results": -1}, {"max_results": 50_001}, {"page_token": "not a token"}])
def test_a_wrong_page_is_refused(found, options):
    with pytest.raises(MlflowException) as refused:
        found(**options)
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


def test_search_runs_makes_a_table(found):
    mlflow.set_tracking_uri(found.client.tracking_uri)
    table = mlflow.search_runs([found.experiment_id], order_by=["start_time ASC"])
    assert list(table["tags.mlflow.runName"]) == RUNS
    assert {"run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time", "metrics.auc", "params.kind", "tags.team"} <= set(table.columns)
    assert list(table["metrics.auc"])[:3] == [0.1, 0.2, 0.2] and math.isnan(table["metrics.auc"][3])
    # NaN and a metric that was never logged are the same in a table; infinity is the greatest number.
    assert table["metrics.loss"].isna().tolist() == [False, True, False, True] and table["metrics.other"][3] > 1e308
    assert table["params.kind"][3] is None and table["end_time"].isna().tolist() == [False, False, True, True]
    assert str(table["start_time"].dt.tz) == "UTC" and int(table["start_time"][0].timestamp() * 1000) == START_MS
    assert len(mlflow.search_runs([found.experiment_id], max_results=2)) == 2
    assert mlflow.search_runs([found.experiment_id], "metrics.auc > 5").empty


def test_several_experiments_are_searched_at_once(found):
    client = found.client
    other = client.create_experiment(f"search_{uuid.uuid4().hex[:12]}")
    client.create_run(other, START_MS + 500, run_name="elk")
    both = client.search_runs([found.experiment_id, other], order_by=["start_time ASC"])
    assert [run.info.run_name for run in both] == ["ant", "elk", "bee", "cat", "Dog"]
    mlflow.set_tracking_uri(client.tracking_uri)
    everywhere = mlflow.search_runs(search_all_experiments=True, filter_string="run_name = 'elk'", output_format="list")
    assert other in [run.info.experiment_id for run in everywhere]
