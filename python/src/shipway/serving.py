"""Models that answer: deployments, predictions, what came true of them, and the proof of what they were made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shipway import frames
from shipway._calls import Moment, given, moment_text, segment
from shipway._http import Transport
from shipway.frames import Frame, Rows
from shipway.proof import VerificationReport
from shipway.results import PredictionResult


class ServingCalls:
    """What a client asks about models that answer."""

    _transport: Transport

    def deploy(
        self,
        name: str,
        *,
        model: str | None = None,
        alias: str | None = None,
        ensemble: Mapping[str, Any] | None = None,
        service: str | None = None,
        batching: Mapping[str, int] | None = None,
        queue: Mapping[str, int] | None = None,
        cache: Mapping[str, int] | None = None,
        log_share: float | None = None,
    ) -> dict[str, Any]:
        """Serves the version of a model that an alias (`champion` without it) names, now and whenever the alias moves, or an `ensemble` of
        models and expressions (`inputs`, `steps`, `outputs`); answers when it serves.

        `service` is the feature service that turns keys into the model's columns; without it callers send every column.
        `batching` says which requests run together (`max_rows`, `max_delay_us`) and how many such batches at once (`instances`), `queue` who
        may wait for the model and how long (`max_requests`, `timeout_ms`); what they do not say has its usual value.
        `cache` keeps answers of a model that always answers the same (`max_bytes`), to give them again to the same inputs.
        `log_share` is the share of requests whose rows are logged, all without it.

        >>> client.deploy("fraud", model="fraud", service="fraud")["serves"]["version"]
        1
        """
        alias = "champion" if alias is None and model is not None else alias
        body = given(
            model=model,
            alias=alias,
            ensemble=ensemble,
            service=service,
            batching=batching,
            queue=queue,
            cache=cache,
            log_share=log_share,
        )
        path = f"deployments/{segment(name)}"
        answer: dict[str, Any] = self._transport.json("PUT", path, body, safe=True, long=True)
        return answer

    def launch(
        self,
        name: str,
        *,
        alias: str | None = None,
        version: int | None = None,
        shadow_share: float | None = None,
        canary_shares: Sequence[float] | None = None,
        key: str | None = None,
        hold_s: int | None = None,
        gates: Mapping[str, float | None] | None = None,
    ) -> dict[str, Any]:
        """Brings the version that `alias` names, or `version`, to serve step by step; answers where it stands, without waiting for more.

        It answers `shadow_share` of the requests for nobody to see, then `canary_shares` of them, then all. `key` is the column whose value
        decides who is answered by which version. Each stage lasts `hold_s` seconds at least. `gates` (`min_requests`, `max_error_rate`,
        `max_latency_ratio`, `max_drift`) is what it must keep to; otherwise it is rolled back. What is not said has its usual value.

        >>> client.launch("fraud", alias="challenger", hold_s=600)["stage"]
        'shadow'
        >>> client.abort_launch("fraud")["stage"]
        'cancelled'
        """
        body = given(
            alias=alias,
            version=version,
            shadow_share=shadow_share,
            canary_shares=None if canary_shares is None else list(canary_shares),
            key=key,
            hold_s=hold_s,
            gates=gates,
        )
        answer: dict[str, Any] = self._transport.json("POST", f"deployments/{segment(name)}/launch", body, safe=False, long=True)
        return answer

    def launch_status(self, name: str) -> dict[str, Any]:
        """Where the launch of a deployment stands, or how the last one ended: `stage`, `reason`, `waits_for`, `seen`.

        >>> begun = client.launch("fraud", alias="challenger")
        >>> client.launch_status("fraud")["waits_for"]
        'the candidate has 0 of 500 requests'
        >>> ended = client.abort_launch("fraud")
        """
        answer: dict[str, Any] = self._transport.json("GET", f"deployments/{segment(name)}/launch", None, safe=True)
        return answer

    def advance_launch(self, name: str) -> dict[str, Any]:
        """Moves a launch on to its next stage, whatever it waits for.

        >>> begun = client.launch("fraud", alias="challenger")
        >>> client.advance_launch("fraud")["stage"]
        'canary'
        >>> ended = client.abort_launch("fraud")
        """
        answer: dict[str, Any] = self._transport.json("POST", f"deployments/{segment(name)}/launch/advance", {}, safe=False)
        return answer

    def abort_launch(self, name: str) -> dict[str, Any]:
        """Ends a launch; the version that serves answers everything.

        >>> begun = client.launch("fraud", alias="challenger")
        >>> client.abort_launch("fraud")["reason"]
        'ended by local'
        """
        answer: dict[str, Any] = self._transport.json("DELETE", f"deployments/{segment(name)}/launch", None, safe=True)
        return answer

    def predict(
        self,
        deployment: str,
        rows: Rows | Frame,
        *,
        at: Moment | None = None,
        token: str | None = None,
        key: str | None = None,
    ) -> PredictionResult:
        """Asks a deployment for predictions: keys and request columns in, and the server fetches the features.

        `key` says who asks, where a launch decides by key who is answered by which version.
        Every prediction is logged, so it is not asked for twice when the answer breaks off.

        >>> prediction = client.predict("fraud", {"user_id": "ada", "basket_size": 3})
        >>> prediction.model, prediction.version, len(prediction)
        ('fraud', 1, 1)
        """
        asked = frames.to_rows(rows)
        body = given(rows=asked, at=moment_text(at), token=token, key=key)
        answer = self._transport.json("POST", f"predict/{segment(deployment)}", body, safe=False)
        return PredictionResult.of(answer, asked)

    def label(self, deployment: str, labels: Iterable[Mapping[str, Any]]) -> int:
        """Keeps what came true of predictions, and answers how many labels that were; all of them or none.

        A label has `request_id` and `row` of a prediction (0 without it), and `label`: a number, true or false, text, or None, which takes
        an earlier one back; `at` says when it came true. They are in the table `labels__` and the deployment's name.

        >>> prediction = client.predict("fraud", {"user_id": "ada", "basket_size": 3})
        >>> client.label("fraud", [{"request_id": prediction.request_id, "label": True}])
        1
        """
        body = {"labels": [{**label, "at": moment_text(label["at"])} if "at" in label else dict(label) for label in labels]}
        answer: dict[str, Any] = self._transport.json("POST", f"labels/{segment(deployment)}", body, safe=False)
        return int(answer["kept"])

    def verify(self, deployment: str, *, limit: int | None = None) -> VerificationReport:
        """Replays what a deployment served against history. The report is true when every bit is the same.

        `limit` bounds how many of the latest vectors are compared.

        >>> report = client.verify("fraud")
        >>> report.equal
        True
        """
        body = given(deployment=deployment, limit=limit)
        return VerificationReport.of(deployment, self._transport.json("POST", "verify", body, safe=True, long=True))
