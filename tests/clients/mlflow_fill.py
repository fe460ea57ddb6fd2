"""Fills an MLflow store with everything that an import brings. A program of its own, because the client keeps its server in globals.

Arguments: the URI of the store, and the bytes of a large file. Files are written to the current folder.
"""

import math
import sys

import mlflow
import pandas
from mlflow import MlflowClient
from mlflow.entities import Metric
from sklearn.linear_model import LinearRegression

uri, large = sys.argv[1], int(sys.argv[2])
mlflow.set_tracking_uri(uri)
mlflow.set_registry_uri(uri)
client = MlflowClient(uri)
table = pandas.DataFrame({"distance": [1.0, 2.0, 3.0], "late": [0.0, 1.0, 1.0]})
dataset = mlflow.data.from_pandas(table, name="autumn", targets="late")

flights = mlflow.set_experiment("flights")
client.set_experiment_tag(flights.experiment_id, "team", "ops")
with mlflow.start_run(run_name="parent", tags={"kind": "sweep", "text": "a\nb \u00e9"}) as parent:
    mlflow.log_params({"rate": 0.1, "group/depth": 3, "empty": ""})
    mlflow.log_metrics({"loss": math.nan, "auc": 0.5}, step=0)
    mlflow.log_metrics({"loss": math.inf, "auc": 0.75}, step=1)
    mlflow.log_metric("val/auc", 0.25)
    mlflow.log_input(dataset, context="training")
    mlflow.log_text("hello", "notes/a b.txt")
    mlflow.log_dict({"a": 1}, "config.json")
    with mlflow.start_run(run_name="child", nested=True) as child:
        client.log_batch(child.info.run_id, metrics=[Metric("loss", 1.0 / (step + 1), 1_700_000_000_000 + step, step) for step in range(900)])
        client.log_batch(child.info.run_id, metrics=[Metric("loss", -1.0, 1_700_000_000_000, 5)])
with mlflow.start_run(run_name="models") as models:
    fitted = LinearRegression().fit(table[["distance"]], table["late"])
    logged = mlflow.sklearn.log_model(fitted, name="model", registered_model_name="late_arrivals", params={"alpha": "1"}, input_example=table[["distance"]])
    mlflow.log_metric("auc", 0.9, model_id=logged.model_id, dataset=dataset)
    client.set_logged_model_tags(logged.model_id, {"good": "yes"})
    with open("large.bin", "wb") as file:
        for block in range(large >> 20):
            file.write(bytes([block % 251]) * (1 << 20))
    mlflow.log_artifact("large.bin", "weights")
    mlflow.sklearn.save_model(fitted, "saved")
    mlflow.log_artifacts("saved", "old")
client.set_registered_model_tag("late_arrivals", "owner", "ada")
client.update_registered_model("late_arrivals", "who is late")
old = client.create_model_version("late_arrivals", f"{client.get_run(models.info.run_id).info.artifact_uri}/old", models.info.run_id, tags={"made": "by hand"}, description="the old way")
gone = client.create_model_version("late_arrivals", f"models:/{logged.model_id}", models.info.run_id, model_id=logged.model_id)
client.delete_model_version("late_arrivals", gone.version)
last = client.create_model_version("late_arrivals", f"models:/{logged.model_id}", models.info.run_id, model_id=logged.model_id)
client.transition_model_version_stage("late_arrivals", "1", "Production")
client.set_registered_model_alias("late_arrivals", "champion", 1)
client.set_registered_model_alias("late_arrivals", "challenger", last.version)
mlflow.register_prompt("greeting", "Hello {{name}}", commit_message="first", tags={"tone": "warm"})
mlflow.register_prompt("greeting", "Good day {{name}}")
mlflow.set_prompt_alias("greeting", "live", 2)
with mlflow.start_run(run_name="reader"):
    mlflow.log_metric("seen", 1)
    client.log_inputs(mlflow.active_run().info.run_id, models=[mlflow.entities.LoggedModelInput(logged.model_id)])
deleted = client.create_run(flights.experiment_id, tags={"a": "b"}, run_name="deleted")
client.log_metric(deleted.info.run_id, "m", 2.5)
client.set_terminated(deleted.info.run_id, "FAILED")
client.delete_run(deleted.info.run_id)
buried = client.create_experiment("buried")
client.log_param(client.create_run(buried, run_name="in it").info.run_id, "p", "1")
client.delete_experiment(buried)
client.log_param(client.create_run("0", run_name="unfinished").info.run_id, "p", "1")
