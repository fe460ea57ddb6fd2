"""Definitions as objects: what features are, written in Python. Names are checked in `shipway.names`.

- `source`, `stream`, `aggregate`, `view`, `service`, `sink`: the six kinds and what they are made of
- `metadata`: what people and policies want to know about features
- `yaml`: their text
- `collection`: several of them together, and the way to a server
"""

from shipway.definitions.aggregate import Aggregate
from shipway.definitions.collection import Definition, Definitions
from shipway.definitions.metadata import Deprecation, Feature, Freshness
from shipway.definitions.service import Gate, Requirement, Service, at_least, at_most, beats_holder, own_artifact
from shipway.definitions.sink import Sink, Topic
from shipway.definitions.source import Batch, Entity, Source
from shipway.definitions.stream import Stream
from shipway.definitions.view import View

__all__ = [
    "Aggregate", "Batch", "Definition", "Definitions", "Deprecation", "Entity", "Feature", "Freshness", "Gate",
    "Requirement", "Service", "Sink", "Source", "Stream", "Topic", "View", "at_least", "at_most", "beats_holder",
    "own_artifact",
]  # fmt: skip
