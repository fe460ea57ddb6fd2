"""BentoML around a booster: a service with one worker, a matrix in, a list of numbers out.

    BENTOML_TREES=MODEL python -m bentoml serve bentoml_trees:Trees --port PORT
"""

from __future__ import annotations

import os

import bentoml
import lightgbm
import numpy


@bentoml.service(workers=1, traffic={"timeout": 30, "max_concurrency": 64})
class Trees:
    def __init__(self) -> None:
        self.booster = lightgbm.Booster(model_file=os.environ["BENTOML_TREES"])

    @bentoml.api(route="/predict")
    def predict(self, rows: list[list[float]]) -> dict:
        return {"predictions": self.booster.predict(numpy.asarray(rows), num_threads=1).tolist()}
