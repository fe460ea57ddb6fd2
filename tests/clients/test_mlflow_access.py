"""Users, roles and tokens with the unmodified MLflow clients: that of users and roles, and the tracking client of a user with bounds."""

import subprocess
import uuid

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException
from mlflow.server.auth.client import AuthServiceClient
from real_binary import Server
from requests import HTTPError
from sklearn.linear_model import LogisticRegression

OPERATOR = "a token of more than sixteen characters"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def guarded(binary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    started = Server(binary, folder / "data", folder / "log", {"SHIPWAY_TOKEN": OPERATOR})
    yield started
    started.stop()


class SignIn:
    """Who the MLflow clients of this process are."""

    def __init__(self, monkeypatch, url):
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        mlflow.set_tracking_uri(url)
        mlflow.set_registry_uri(url)
        self.operator()

    def nobody(self):
        for name in ("TOKEN", "USERNAME", "PASSWORD"):
            self.monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)

    def operator(self):
        self.token(OPERATOR)

    def token(self, token):
        self.nobody()
        self.monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)

    def user(self, name, password=PASSWORD):
        self.nobody()
        self.monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
        self.monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)


@pytest.fixture()
def sign_in(guarded, monkeypatch):
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    yield SignIn(monkeypatch, guarded.url)
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


@pytest.fixture()
def accounts(guarded, sign_in):
    return AuthServiceClient(guarded.url)


def unique(name):
    return f"{name}-{uuid.uuid4().hex[:8]}"


def test_the_client_of_users_and_roles_finds_everything_that_it_knows(accounts, sign_in):
    name, role_name = unique("ana"), unique("scientists")
    user = accounts.create_user(name, PASSWORD)
    assert (user.username, user.is_admin) == (name, False)
    with pytest.raises(RestException, match="exists already"):
        accounts.create_user(name, PASSWORD)
    other = unique("other")
    for weak in ("password1234", "short", f"{other}-2026"):
        with pytest.raises(RestException, match="password") as refused:
            accounts.create_user(other, weak)
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    assert accounts.get_user(name).id == user.id

    role = accounts.create_role("default", role_name, "reads")
    assert role_name in [one.name for one in accounts.list_roles("default")]
    assert role_name in [one.name for one in accounts.list_all_roles()]
    permission = accounts.add_role_permission(role.id, "experiment", "*", "READ")
    assert accounts.update_role_permission(permission.id, "EDIT").permission == "EDIT"
    assert [one.permission for one in accounts.list_role_permissions(role.id)] == ["EDIT"]
    assert accounts.update_role(role.id, description="edits").description == "edits"
    assert accounts.get_role(role.id).permissions[0].resource_type == "experiment"
    accounts.assign_role(name, role.id)
    assert [one.id for one in accounts.list_user_roles(name)] == [role.id]
    assert [one.user_id for one in accounts.list_role_users(role.id)] == [user.id]
    assert accounts.get_user_permission(name, "experiment", "0").permission == "EDIT"

    accounts.grant_user_permission(name, "registered_model", "churn", "MANAGE")
    assert accounts.get_user_permission(name, "registered_model", "churn").to_json() == {"allowed": True, "permission": "MANAGE"}
    accounts.revoke_user_permission(name, "registered_model", "churn")
    assert accounts.get_user_permission(name, "registered_model", "churn").allowed is False
    accounts.remove_role_permission(permission.id)
    accounts.unassign_role(name, role.id)
    accounts.delete_role(role.id)
    with pytest.raises(RestException, match="does not exist"):
        accounts.get_role(role.id)

    sign_in.user(name)
    with pytest.raises(RestException, match="current password is wrong"):
        accounts.update_user_password(name, "battery staple horse", "not this one")
    accounts.update_user_password(name, "battery staple horse", PASSWORD)
    with pytest.raises(RestException, match="wrong"):
        accounts.get_user(name)
    sign_in.user(name, "battery staple horse")
    assert accounts.get_user(name).username == name
    with pytest.raises(RestException, match="may not"):
        accounts.update_user_admin(name, True)
    sign_in.operator()
    accounts.update_user_admin(name, True)
    assert accounts.get_user(name).is_admin
    accounts.delete_user(name)
    with pytest.raises(RestException, match="does not exist"):
        accounts.get_user(name)


def test_a_member_works_as_with_any_server_and_another_sees_nothing_of_it(accounts, sign_in, tmp_path):
    ana, bo = unique("ana"), unique("bo")
    for name in (ana, bo):
        accounts.create_user(name, PASSWORD)
        accounts.grant_user_permission(name, "workspace", "*", "USE")
    sign_in.user(ana)
    experiment, model_name = unique("hers"), unique("model")
    mlflow.set_experiment(experiment)
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    with mlflow.start_run() as run:
        mlflow.log_params({"depth": 3})
        mlflow.log_metrics({"auc": 0.75})
        mlflow.log_text("a note", "note.txt")
        fitted = LogisticRegression().fit(frame, [0, 0, 1, 1])
        mlflow.sklearn.log_model(fitted, name="m", registered_model_name=model_name, input_example=frame.head(1))
    client = MlflowClient()
    client.set_registered_model_alias(model_name, "champion", "1")
    loaded = mlflow.pyfunc.load_model(f"models:/{model_name}@champion")
    assert list(loaded.predict(frame)) == [0, 0, 1, 1]
    assert len(mlflow.search_runs(experiment_names=[experiment])) == 1
    assert [one.name for one in client.search_registered_models()] == [model_name]
    experiment_id = run.info.experiment_id

    sign_in.user(bo)
    assert client.search_registered_models() == []
    assert experiment not in [one.name for one in client.search_experiments()]
    for hidden in (
        lambda: client.get_run(run.info.run_id),
        lambda: client.get_experiment(experiment_id),
        lambda: mlflow.search_runs([experiment_id]),
        lambda: client.log_metric(run.info.run_id, "auc", 1.0),
        lambda: client.get_registered_model(model_name),
        lambda: mlflow.pyfunc.load_model(f"models:/{model_name}@champion"),
        lambda: mlflow.artifacts.load_text(f"{run.info.artifact_uri}/note.txt"),
    ):
        with pytest.raises((MlflowException, HTTPError), match="may not read|may not write to"):
            hidden()

    sign_in.user(ana)
    accounts.grant_user_permission(bo, "registered_model", model_name, "READ")
    sign_in.user(bo)
    loaded = mlflow.pyfunc.load_model(f"models:/{model_name}@champion")
    assert list(loaded.predict(frame)) == [0, 0, 1, 1]
    with pytest.raises(MlflowException, match="may not manage"):
        client.set_registered_model_alias(model_name, "champion", "1")
    with pytest.raises(HTTPError, match="may not read experiment"):
        mlflow.artifacts.load_text(f"{run.info.artifact_uri}/note.txt")


def test_the_command_line_makes_users_and_tokens_that_mlflow_signs_in_with(guarded, binary, sign_in):
    name = unique("ci")

    def shipway(*words, user=None, given=None):
        environment = {"SHIPWAY_SERVER": guarded.url, "SHIPWAY_TOKEN": OPERATOR}
        if user:
            environment = {"SHIPWAY_SERVER": guarded.url, "SHIPWAY_USER": user, "SHIPWAY_PASSWORD": PASSWORD}
        done = subprocess.run([binary, *words], env=environment, input=given, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    code, printed, said = shipway("users", "create", name, "--password-stdin", given=PASSWORD + "\n")
    assert code == 0 and printed.startswith(f"made user {name}"), said
    assert shipway("roles", "create", unique("readers"), "--grant", "experiment:read")[0] == 0
    assert shipway("users", "grant", name, "experiment:read")[0] == 0
    code, printed, _ = shipway("whoami", user=name)
    assert code == 0 and "may do what is granted" in printed and "experiment:read" in printed
    code, token, said = shipway("tokens", "create", "laptop", "--days", "7", user=name)
    assert code == 0 and token.startswith("shipway_") and "shown this once" in said, said
    sign_in.token(token.strip())
    assert MlflowClient().get_experiment("0").name == "Default"
    with pytest.raises(MlflowException, match="may not write"):
        MlflowClient().create_run("0")
    code, printed, _ = shipway("tokens", "list", user=name)
    assert code == 0 and "laptop" in printed and token.strip() not in printed
    assert shipway("tokens", "revoke", token.split("_")[1], user=name)[0] == 0
    with pytest.raises(MlflowException, match="wrong"):
        MlflowClient().get_experiment("0")
    code, _, said = shipway("users", "grant", name, "experimental:read")
    assert code == 1 and "hint: types: experiment" in said
    code, printed, _ = shipway("users", "list")
    assert code == 0 and name in printed and "password, tokens" in printed
    code, _, said = shipway("users", "list", user=name)
    assert code == 1 and "may not list users" in said
