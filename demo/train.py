"""Training in plain Python: LightGBM on a training set, logged with the unmodified `mlflow` client."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
from sklearn.metrics import roc_auc_score

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
warnings.filterwarnings("ignore")

import mlflow  # noqa: E402
import mlflow.lightgbm  # noqa: E402

logging.getLogger("mlflow").setLevel(logging.ERROR)

STATIC = ["month", "hour", "distance"]
PARAMETERS = {
    "objective": "binary",
    "num_leaves": 63,
    "learning_rate": 0.05,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.8,
    "seed": 7,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Dataset:
    """A training set as a data frame: what came with the spine, and the features, in the service's order."""

    name: str
    frame: pd.DataFrame
    features: list[str]

    @classmethod
    def read(cls, name: str, path: Path) -> Dataset:
        frame = parquet.read_table(path).to_pandas()
        spine = {"flight_id", "q", "origin", "dest", "carrier", "tailnum", "label"}
        return cls(name, frame[frame["label"].notna()], [column for column in frame.columns if column not in spine])

    def inputs(self, columns: list[str], categories: dict[str, list[str]]) -> pd.DataFrame:
        inputs = self.frame[columns].copy()
        for column in columns:
            if inputs[column].dtype == object:
                known = categories.setdefault(column, sorted(inputs[column].dropna().unique()))
                inputs[column] = pd.Categorical(inputs[column], categories=known)
            else:
                inputs[column] = inputs[column].astype("float64")
        return inputs


@dataclass(frozen=True)
class Candidate:
    """A registered model version and the score that was logged for it."""

    kind: str
    version: int
    auc: float


def train(kind: str, training: Dataset, evaluation: Dataset, columns: list[str], service_hash: str) -> Candidate:
    """Trains one model, logs its parameters, metrics and files, and registers it as a version of `late_arrivals`.

    With `kind == "shuffled"` the labels are shuffled first: the model learns nothing, on purpose.
    """
    categories: dict[str, list[str]] = {}
    inputs = training.inputs(columns, categories)
    labels = training.frame["label"].to_numpy()
    if kind == "shuffled":
        labels = np.random.default_rng(7).permutation(labels)
    rounds = 300
    with mlflow.start_run(run_name=kind):
        mlflow.log_params({**PARAMETERS, "rounds": rounds, "columns": len(columns)})
        mlflow.log_input(mlflow.data.from_pandas(training.frame.head(1000), name=training.name), context="training")
        booster = lightgbm.train(PARAMETERS, lightgbm.Dataset(inputs, labels), num_boost_round=rounds)
        # The client tells on standard error what it registers; the demo says it in its own words.
        with contextlib.redirect_stderr(io.StringIO()):
            logged = mlflow.lightgbm.log_model(booster, name="model", registered_model_name="late_arrivals")
        scores = booster.predict(evaluation.inputs(columns, categories))
        auc = float(roc_auc_score(evaluation.frame["label"], scores))
        held_out = mlflow.data.from_pandas(evaluation.frame.head(1000), name=evaluation.name)
        mlflow.log_metrics({"auc": auc}, model_id=logged.model_id, dataset=held_out)
    version = int(logged.registered_model_version)
    mlflow.MlflowClient().set_model_version_tag("late_arrivals", str(version), "shipway.service_hash", service_hash)
    return Candidate(kind, version, auc)


def point_mlflow_at(url: str) -> None:
    """The one line that a user changes."""
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("late_arrivals")
