"""Shipway from Python: define features, push events, read features, build training sets, and prove that they agree.

>>> import shipway
>>> with shipway.Client() as client:
...     result = client.read("fraud", {"user_id": "ada", "basket_size": 3}, at="2026-01-05T11:00:00Z")
>>> result[0]["user_spending__amount_sum_7d"]
15.5

- `Client`: a server
- `Entity`, `Source`, `View`, `Service`, `Gate`, `Sink`, put together in `Definitions`; `operations` for aggregates
- `ShipwayError` and its kinds, in `errors`
"""

from shipway import errors, operations
from shipway.batch import BatchStatus, Refresh
from shipway.catalog import CatalogFeature, FeatureList
from shipway.client import Client
from shipway.definitions import (
    Aggregate,
    Batch,
    Definition,
    Definitions,
    Deprecation,
    Entity,
    Feature,
    Freshness,
    Gate,
    Requirement,
    Service,
    Sink,
    Source,
    Stream,
    Topic,
    View,
    at_least,
    at_most,
    beats_holder,
    own_artifact,
)
from shipway.errors import ShipwayError
from shipway.operations import (
    approx_distinct,
    approx_quantile,
    avg,
    bottom_k,
    count,
    distinct_count,
    first,
    first_k,
    histogram,
    kurtosis,
    last,
    last_k,
    skew,
    stddev,
    top_k,
    var,
)
from shipway.plan import Plan
from shipway.proof import VerificationReport
from shipway.results import PredictionResult, PushResult, ReadResult, ViewFreshness
from shipway.sinks import SinkList, SinkStatus
from shipway.status import LoadResult, Status, ViewBuild
from shipway.streams import ReplayedLetters, StreamList, StreamStatus
from shipway.training import TrainingSet, WrittenTrainingSet

__version__ = "0.1.0"

__all__ = [
    "Aggregate", "Batch", "BatchStatus", "CatalogFeature", "Client", "Definition", "Definitions", "Deprecation", "Entity",
    "Feature", "FeatureList", "Freshness", "Gate", "LoadResult", "Plan", "PredictionResult", "PushResult", "ReadResult",
    "Refresh", "ReplayedLetters", "Requirement", "Service", "ShipwayError", "Sink", "SinkList", "SinkStatus", "Source",
    "Status", "Stream", "StreamList", "StreamStatus", "Topic", "TrainingSet", "VerificationReport", "View", "ViewBuild",
    "ViewFreshness", "WrittenTrainingSet",
    "approx_distinct", "approx_quantile", "at_least", "at_most", "avg", "beats_holder", "bottom_k", "count",
    "distinct_count", "errors", "first", "first_k", "histogram", "kurtosis", "last", "last_k", "operations",
    "own_artifact", "skew", "stddev", "top_k", "var",
]  # fmt: skip
