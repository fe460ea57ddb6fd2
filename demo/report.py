"""The closing table: what was built, what was served, what was proved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from replay import Outcome
from train import Candidate


@dataclass(frozen=True)
class Report:
    """Everything that the demo found."""

    candidates: list[Candidate]
    refusal: str
    outcome: Outcome
    proof: dict
    times: dict[str, float]
    version: str

    def holds(self, sample: int) -> bool:
        """Whether the demo shows what it is for: features clearly beat static, and every served vector is proved."""
        static, features, _ = self.candidates
        return (
            features.auc > static.auc + 0.02
            and self.outcome.auc > static.auc + 0.02
            and self.proof["compared"] >= sample
            and self.proof["differing"] == 0
        )

    @property
    def over_kafka(self) -> bool:
        return self.outcome.way == "Kafka"

    @property
    def _batch(self) -> str:
        if self.over_kafka:
            return "acknowledged by Kafka, then durable here"
        return "acknowledged after fsync"

    def _delays(self) -> list[tuple[str, str]]:
        if not self.over_kafka:
            return []
        seen = f"{self.outcome.seen_percentile(50):.1f} ms / {self.outcome.seen_percentile(99):.1f} ms"
        readable = [
            (f"taken in until readable, {source}, p50 / p99 [2]", f"{delay['p50_ms']:.1f} ms / {delay['p99_ms']:.1f} ms")
            for source, delay in self.outcome.readable.items()
        ]
        return [("produced until a prediction saw it, p50 / p99 [1]", seen), *readable]

    def notes(self) -> list[str]:
        """What the delays over Kafka are."""
        if not self.over_kafka:
            return []
        return [
            "[1] per batch: from handing its first event to the Kafka client until a prediction was answered that had to see the whole",
            "    batch; the acknowledgement of Kafka, the demo's asking whether all is taken in, and the prediction itself are in it",
            "[2] what the server measured in the last minute of the replay: from the intake of the oldest event of a run until reads saw it",
        ]

    def rows(self) -> list[tuple[str, str]]:
        static, features, shuffled = self.candidates
        outcome = self.outcome
        return [
            ("AUC, held out: static columns only", f"{static.auc:.4f}"),
            ("AUC, held out: with Shipway's features", f"{features.auc:.4f}"),
            ("AUC, live predictions", f"{outcome.auc:.4f}"),
            (f"version {shuffled.version} (shuffled labels)", f"refused: {self.refusal}"),
            ("events replayed", f"{outcome.events:,}{' over Kafka' if self.over_kafka else ''}"),
            (f"events/s, in small batches, each {self._batch}", f"{outcome.events / outcome.ingest_seconds:,.0f}"),
            *self._delays(),
            ("predictions by ids", f"{outcome.predictions:,}"),
            ("predictions/s, one client, features fetched by the server", f"{outcome.predictions / outcome.predict_seconds:,.0f}"),
            ("prediction request p50 / p99", f"{outcome.percentile(50):.2f} ms / {outcome.percentile(99):.2f} ms"),
            ("served vectors replayed against history", f"{self.proof['compared']:,}"),
            ("served vectors that differ", f"{self.proof['differing']:,}"),
            ("time, all steps", f"{sum(self.times.values()):.0f} s"),
        ]


def write_report(report: Report, folder: Path, binary: str | None) -> str:
    """Writes `result.md` and `result.json` to `folder`; returns the table with the next commands to try."""
    rows = report.rows()
    width = max(len(name) for name, _ in rows)
    markdown = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    steps = ["", "| step | seconds |", "|---|---|", *(f"| {step} | {taken:.1f} |" for step, taken in report.times.items())]
    remarks = ["", *(note.strip() for note in report.notes())] if report.over_kafka else []
    (folder / "result.md").write_text("\n".join(["# The main job on real flights", "", *markdown, *remarks, *steps, ""]))
    (folder / "result.json").write_text(json.dumps(_figures(report), indent=2) + "\n")
    notes = [f"  {note}" for note in report.notes()]
    lines = ["", *(f"  {name:<{width}}  {value}" for name, value in rows), "", *notes, *([""] if notes else []), f"  written to {folder}/result.md and result.json"]
    if binary:
        lines += [
            "",
            "  Next, with what the demo left behind:",
            f"    {binary} serve --data {folder}/data &",
            f"    {binary} {'sources status   # the Kafka of the demo is gone: the streams say so' if report.over_kafka else 'status'}",
            f"    {binary} features read late_arrivals --row origin=JFK,dest=LAX,carrier=DL,tailnum=N721TW,month=12,hour=9,distance=2475 --at 2014-01-01T12:00:00Z",
            f"    {binary} sql 'SELECT origin, count(*) AS flights, avg(dep_delay) AS delay FROM departures GROUP BY origin'",
        ]
    return "\n".join(lines) + "\n"


def _figures(report: Report) -> dict:
    outcome = report.outcome
    return {
        "version": report.version,
        "candidates": [candidate.__dict__ for candidate in report.candidates],
        "refusal": report.refusal,
        "live_auc": outcome.auc,
        "events": outcome.events,
        "way": outcome.way,
        "seen_p50_ms": outcome.seen_percentile(50),
        "seen_p99_ms": outcome.seen_percentile(99),
        "readable": outcome.readable,
        "events_per_second": outcome.events / outcome.ingest_seconds,
        "predictions": outcome.predictions,
        "predictions_per_second": outcome.predictions / outcome.predict_seconds,
        "predict_p50_ms": outcome.percentile(50),
        "predict_p99_ms": outcome.percentile(99),
        "compared": report.proof["compared"],
        "differing": report.proof["differing"],
        "seconds": report.times,
    }
