"""A plain FastAPI around a booster, as one writes it in an afternoon: a matrix in, a list of numbers out.

    python fastapi_trees.py MODEL PORT
"""

from __future__ import annotations

import sys

import lightgbm
import numpy
import uvicorn
from fastapi import FastAPI, Request

booster = lightgbm.Booster(model_file=sys.argv[1])
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> dict:
    rows = numpy.asarray((await request.json())["rows"], dtype=float)
    return {"predictions": booster.predict(rows, num_threads=1).tolist()}


@app.get("/ready")
def ready() -> dict:
    return {}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
