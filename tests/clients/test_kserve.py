"""KServe's own inference clients, unmodified, over REST and gRPC."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy
from serving_models import add_sub, booster, deploy

CALLS = Path(__file__).resolve().parent / "kserve_calls.py"


def test_the_clients_of_kserve(server_url):
    trees = booster()
    names = [deploy(server_url, add_sub()), deploy(server_url, trees)]
    done = subprocess.run([sys.executable, str(CALLS), server_url, *names], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.strip().splitlines()[-1])
    rows = numpy.random.default_rng(9).normal(size=(4, 3))
    assert numpy.abs(numpy.array(said["trees"]) - trees.predict(rows)).max() < 1e-12
    assert "INPUT1" in said["refused"], said
