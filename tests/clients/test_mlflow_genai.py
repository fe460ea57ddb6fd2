"""The unmodified MLflow client against the real server: evaluation data sets, scorers and prompts.

The fixture `server_url` gives the base URL of a running server.
"""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Iterator

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import DatasetRecordSource
from mlflow.exceptions import MlflowException, RestException
from mlflow.genai import datasets, delete_scorer, get_scorer, list_scorers, make_judge
from mlflow.genai.scorers import Guidelines
from mlflow.genai.scorers.registry import list_scorer_versions


@pytest.fixture
def client(server_url: str) -> Iterator[MlflowClient]:
    mlflow.set_tracking_uri(server_url)
    mlflow.set_registry_uri(server_url)
    yield MlflowClient(server_url)
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"test_{uuid.uuid4().hex[:12]}"


def test_a_data_set_takes_records_and_gives_them_back(client: MlflowClient, name: str) -> None:
    experiment = mlflow.set_experiment(name)
    dataset = datasets.create_dataset(name=name, experiment_id=experiment.experiment_id, tags={"team": "ops"})
    assert dataset.dataset_id.startswith("d-") and dataset.tags["team"] == "ops"
    dataset.merge_records(
        [
            {
                "inputs": {"question": "Where to?", "n": 1},
                "expectations": {"answer": "LAX"},
                "tags": {"kind": "easy"},
                "source": {"source_type": "HUMAN", "source_data": {"source_id": "ann"}},
            },
            {"inputs": {"question": "When?"}, "outputs": {"answer": "now"}},
        ]
    )
    dataset.merge_records([{"inputs": {"n": 1, "question": "Where to?"}, "expectations": {"sure": True}}])
    kept = datasets.get_dataset(dataset_id=dataset.dataset_id)
    assert kept.name == name and kept.experiment_ids == [experiment.experiment_id]
    assert json.loads(kept.profile)["num_records"] == 2
    assert json.loads(kept.schema)["inputs"] == {"question": "string", "n": "integer"}
    records = {row["inputs"]["question"]: row for _, row in kept.to_df().iterrows()}
    assert records["Where to?"]["expectations"] == {"answer": "LAX", "sure": True}
    assert records["Where to?"]["tags"]["kind"] == "easy"
    assert records["Where to?"]["source"] == DatasetRecordSource(source_type="HUMAN", source_data={"source_id": "ann"})
    assert records["When?"]["outputs"] == {"answer": "now"}


def test_records_go_by_id_and_come_in_pages(client: MlflowClient, name: str) -> None:
    dataset = client.create_dataset(name=name, experiment_id="0")
    dataset.merge_records([{"inputs": {"n": number}} for number in range(2_500)])
    kept = client.get_dataset(dataset.dataset_id)
    assert [record.inputs["n"] for record in kept.records] == list(range(2_500))
    ids = [record.dataset_record_id for record in kept.records[:3]]
    assert kept.delete_records(ids) == 3
    again = client.get_dataset(dataset.dataset_id)
    assert len(again.records) == 2_497 and json.loads(again.profile)["num_records"] == 2_497


def test_data_sets_are_searched_tagged_moved_and_deleted(client: MlflowClient, name: str) -> None:
    first = mlflow.set_experiment(name).experiment_id
    second = client.create_experiment(f"{name}_second")
    made = [
        datasets.create_dataset(name=f"{name}_{number}", experiment_id=first, tags={"even": str(number % 2 == 0)})
        for number in range(60)
    ]
    found = datasets.search_datasets(experiment_ids=first, filter_string="tags.even = 'True'", order_by=["name ASC"])
    assert [one.name for one in found] == sorted(f"{name}_{number}" for number in range(0, 60, 2))
    assert len(datasets.search_datasets(filter_string=f"name LIKE '{name}_1%'")) == 11
    assert [one.dataset_id for one in datasets.search_datasets(experiment_ids=[first], max_results=2)] == [
        made[59].dataset_id,
        made[58].dataset_id,
    ]
    assert datasets.get_dataset(name=f"{name}_7").dataset_id == made[7].dataset_id
    dataset_id = made[0].dataset_id
    datasets.set_dataset_tags(dataset_id=dataset_id, tags={"reviewed": "yes", "even": None})
    assert datasets.get_dataset(dataset_id=dataset_id).tags == {"reviewed": "yes", "mlflow.user": made[0].tags["mlflow.user"]}
    datasets.delete_dataset_tag(dataset_id=dataset_id, key="reviewed")
    assert "reviewed" not in datasets.get_dataset(dataset_id=dataset_id).tags
    datasets.add_dataset_to_experiments(dataset_id=dataset_id, experiment_ids=[second])
    assert sorted(datasets.get_dataset(dataset_id=dataset_id).experiment_ids) == sorted([first, second])
    datasets.remove_dataset_from_experiments(dataset_id=dataset_id, experiment_ids=[first])
    assert datasets.get_dataset(dataset_id=dataset_id).experiment_ids == [second]
    datasets.delete_dataset(dataset_id=dataset_id)
    with pytest.raises(MlflowException, match="not found"):
        datasets.get_dataset(dataset_id=dataset_id)
    with pytest.raises(MlflowException):
        datasets.search_datasets(filter_string="colour = 'red'")


def test_scorers_are_registered_listed_and_deleted(client: MlflowClient, name: str) -> None:
    experiment_id = mlflow.set_experiment(name).experiment_id
    judge = make_judge(name="polite", instructions="Is {{ outputs }} polite?", model="openai:/gpt-4o-mini")
    judge.register(experiment_id=experiment_id)
    again = make_judge(name="polite", instructions="Are {{ outputs }} kind?", model="openai:/gpt-4o-mini")
    again.register(experiment_id=experiment_id)
    Guidelines(name="brief", guidelines=["Be brief"], model="openai:/gpt-4o-mini").register(experiment_id=experiment_id)
    assert [one.name for one in list_scorers(experiment_id=experiment_id)] == ["brief", "polite"]
    assert get_scorer(name="polite", experiment_id=experiment_id).instructions == "Are {{ outputs }} kind?"
    first = get_scorer(name="polite", experiment_id=experiment_id, version=1)
    assert first.instructions == "Is {{ outputs }} polite?"
    versions = list_scorer_versions(name="polite", experiment_id=experiment_id)
    assert [version for _, version in versions] == [1, 2]
    delete_scorer(name="polite", experiment_id=experiment_id, version=1)
    assert [version for _, version in list_scorer_versions(name="polite", experiment_id=experiment_id)] == [2]
    delete_scorer(name="polite", experiment_id=experiment_id, version="all")
    with pytest.raises(RestException) as refused:
        get_scorer(name="polite", experiment_id=experiment_id)
    assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(MlflowException, match="runs no scorers"):
        client._tracking_client.store.upsert_online_scoring_config(experiment_id, "brief", 0.5)


def test_prompts_are_registered_loaded_by_alias_and_searched(client: MlflowClient, name: str) -> None:
    first = mlflow.genai.register_prompt(
        name=name, template="Hi {{who}}", commit_message="first", tags={"tone": "warm"}
    )
    second = mlflow.genai.register_prompt(
        name=name, template=[{"role": "user", "content": "Hello {{who}}"}], commit_message="second"
    )
    assert (first.version, second.version) == (1, 2)
    mlflow.genai.set_prompt_alias(name, alias="live", version=1)
    loaded = mlflow.genai.load_prompt(f"prompts:/{name}@live")
    assert loaded.template == "Hi {{who}}" and loaded.format(who="Ann") == "Hi Ann"
    assert loaded.commit_message == "first" and loaded.tags["tone"] == "warm"
    assert mlflow.genai.load_prompt(f"prompts:/{name}/2").format(who="Ann") == [{"role": "user", "content": "Hello Ann"}]
    assert mlflow.genai.load_prompt(name).version == 2
    mlflow.genai.set_prompt_alias(name, alias="live", version=2)
    assert client.get_prompt_version_by_alias(name, "live").version == 2
    mlflow.genai.set_prompt_tag(name, "team", "ops")
    assert mlflow.genai.get_prompt_tags(name)["team"] == "ops"
    mlflow.genai.set_prompt_version_tag(name, 1, "reviewed", "yes")
    assert mlflow.genai.load_prompt(f"prompts:/{name}/1").tags["reviewed"] == "yes"
    mlflow.genai.delete_prompt_version_tag(name, 1, "reviewed")
    assert "reviewed" not in mlflow.genai.load_prompt(f"prompts:/{name}/1").tags
    found = mlflow.genai.search_prompts(filter_string=f"name = '{name}'")
    assert [(one.name, one.tags["team"]) for one in found] == [(name, "ops")]
    mlflow.genai.delete_prompt_tag(name, "team")
    assert "team" not in mlflow.genai.get_prompt_tags(name)
    assert name not in [one.name for one in client.search_registered_models()]
    assert sorted(version.version for version in client.search_prompt_versions(name)) == [1, 2]
    mlflow.genai.delete_prompt_alias(name, alias="live")
    assert mlflow.genai.load_prompt(f"prompts:/{name}@live", allow_missing=True) is None
    assert mlflow.genai.load_prompt(f"prompts:/{name}_none/1", allow_missing=True) is None
    for version in ["1", "2"]:
        client.delete_prompt_version(name, version)
    client.delete_prompt(name)
    assert mlflow.genai.search_prompts(filter_string=f"name = '{name}'") == []


def test_a_chart_gets_a_sample_that_keeps_both_ends(client: MlflowClient, server_url: str, name: str) -> None:
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        for step in range(0, 50):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
    query = f"run_ids={run.info.run_id}&metric_key=loss&max_results=5"
    url = f"{server_url}/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{query}"
    with urllib.request.urlopen(url) as answer:
        steps = [point["step"] for point in json.load(answer)["metrics"]]
    assert steps == [0, 10, 20, 30, 49]


def test_a_long_param_is_shortened_as_on_any_server(client: MlflowClient, name: str) -> None:
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        mlflow.log_param("prompt", "p" * 7_000)
        mlflow.log_param("prompt", "p" * 7_000)
        mlflow.set_tag("note", "n" * 9_000)
    kept = client.get_run(run.info.run_id).data
    assert len(kept.params["prompt"]) == 6_000 and len(kept.tags["note"]) == 8_000
