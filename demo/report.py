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

    def rows(self) -> list[tuple[str, str]]:
        static, features, shuffled = self.candidates
        outcome = self.outcome
        return [
            ("AUC, held out: static columns only", f"{static.auc:.4f}"),
            ("AUC, held out: with Shipway's features", f"{features.auc:.4f}"),
            ("AUC, live predictions", f"{outcome.auc:.4f}"),
            (f"version {shuffled.version} (shuffled labels)", f"refused: {self.refusal}"),
            ("events replayed", f"{outcome.events:,}"),
            ("events/s, in small batches, each acknowledged after fsync", f"{outcome.events / outcome.ingest_seconds:,.0f}"),
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
    (folder / "result.md").write_text("\n".join(["# The main job on real flights", "", *markdown, *steps, ""]))
    (folder / "result.json").write_text(json.dumps(_figures(report), indent=2) + "\n")
    lines = ["", *(f"  {name:<{width}}  {value}" for name, value in rows), "", f"  written to {folder}/result.md and result.json"]
    if binary:
        lines += [
            "",
            "  Next, with what the demo left behind:",
            f"    {binary} serve --data {folder}/data &",
            f"    {binary} status",
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
        "events_per_second": outcome.events / outcome.ingest_seconds,
        "predictions": outcome.predictions,
        "predictions_per_second": outcome.predictions / outcome.predict_seconds,
        "predict_p50_ms": outcome.percentile(50),
        "predict_p99_ms": outcome.percentile(99),
        "compared": report.proof["compared"],
        "differing": report.proof["differing"],
        "seconds": report.times,
    }
