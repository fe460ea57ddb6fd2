"""Ray Serve around a booster, as its documentation shows it: one replica, a matrix in, a list of numbers out.

    python ray_trees.py MODEL PORT
"""

from __future__ import annotations

import signal
import sys

import lightgbm
import numpy
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse


@serve.deployment(num_replicas=1, max_ongoing_requests=64)
class Trees:
    def __init__(self, model: str) -> None:
        self.booster = lightgbm.Booster(model_file=model)

    async def __call__(self, request: Request) -> JSONResponse:
        if request.method == "GET":
            return JSONResponse({})
        rows = numpy.asarray((await request.json())["rows"], dtype=float)
        # A response of its own says its length, as all the others do.
        return JSONResponse({"predictions": self.booster.predict(rows, num_threads=1).tolist()})


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(Trees.bind(sys.argv[1]), route_prefix="/predict")
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    serve.shutdown()
    ray.shutdown()
