"""The lane `serving` over gRPC: the same booster, asked in Open Inference's own protocol."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2

from measure import Goal, Lane, Sample, in_turn
from server import Failed
from serving_sides import FEATURES, LEAVES, TREES, ServingSide, alone
from setting import Setting
from tools import GrpcGenerator

CONNECTIONS = 16
METHOD = "/inference.GRPCInferenceService/ModelInfer"
FASTER = 20.0
COUNTS = re.compile(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout")
RATE = re.compile(r"finished in [\d.]+\w+, ([\d.]+) req/s")


@dataclass(frozen=True)
class GrpcLoad:
    """One message over and over, one call at a time on each of `CONNECTIONS` connections."""

    generator: GrpcGenerator
    folder: Path
    seconds: int

    def run(self, address: str, message: bytes) -> Sample:
        """Calls per second, and percentiles of what one takes. A call without status 200 fails the lane; what is in its trailers the
        generator does not see, so that is looked at beside it."""
        body, log = self.folder / "grpc-body", self.folder / "grpc-log"
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        log.unlink(missing_ok=True)
        command = [
            *(self.generator.path, "-t1", f"-c{CONNECTIONS}", "-m1", f"-D{self.seconds}", f"--log-file={log}", f"--data={body}"),
            *("-H", "content-type: application/grpc", "-H", "te: trailers", f"http://{address}{METHOD}"),
        ]
        limit = self.seconds + 120
        done = subprocess.run(command, env=self.generator.environment, capture_output=True, text=True, check=False, timeout=limit)
        counts, rate = COUNTS.search(done.stdout), RATE.search(done.stdout)
        if done.returncode != 0 or not counts or not rate:
            raise Failed(f"h2load ended with {done.returncode}:\n{done.stderr}{done.stdout}")
        _, ended, succeeded, *failures = map(int, counts.groups())
        if any(failures) or succeeded != ended or not succeeded:
            raise Failed(f"{address}: of {ended} calls {succeeded} succeeded")
        taken = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
        at = {f"p{part * 100:g} us": float(taken[int(len(taken) * part)]) for part in (0.5, 0.99)}
        return Sample(float(rate[1]), at)


def over_grpc(setting: Setting, running: list[ServingSide], rows: numpy.ndarray, expected: numpy.ndarray) -> Lane:
    """One row a call. Each side is asked for every row by Triton's client first, and once more after the runs."""
    asked = [side for side in running if side.grpc]
    for side in asked:
        _check(side.grpc, rows, expected)
    load, message = GrpcLoad(GrpcGenerator(setting.cache), setting.out, setting.seconds), _message(rows[0])

    def run(side: ServingSide) -> Sample:
        with alone(side, running):
            return load.run(side.grpc, message)

    measured = in_turn({side.name: lambda side=side: run(side) for side in asked}, setting.runs)
    for side in asked:
        _check(side.grpc, rows[:1], expected[:1])
    lane = Lane(f"the same over gRPC, one row of {TREES} trees of {LEAVES} leaves, {CONNECTIONS} connections, one core", "calls/s", False, measured)
    ratio = lane.ratio(measured[1])
    lane.goals.append(Goal(f"at least {FASTER:.0f} × {measured[1].name}", f"{ratio:.1f} ×", ratio >= FASTER))
    lane.notes.append(
        f"ModelInfer, the row as typed contents; {load.generator.version()} has one call at a time on each connection; "
        "every row's answer compared with LightGBM's before, and one after"
    )
    return lane


def _message(row: numpy.ndarray) -> bytes:
    request = service_pb2.ModelInferRequest(model_name="trees")
    tensor = request.inputs.add(name="rows", datatype="FP64", shape=[1, FEATURES])
    tensor.contents.fp64_contents.extend(row.tolist())
    return request.SerializeToString()


def _check(address: str, rows: numpy.ndarray, expected: numpy.ndarray) -> None:
    with triton.InferenceServerClient(address) as client:
        for row, wanted in zip(rows, expected, strict=True):
            tensor = triton.InferInput("rows", [1, FEATURES], "FP64")
            tensor.set_data_from_numpy(row.reshape(1, -1))
            answer = client.infer("trees", [tensor])
            got = answer.as_numpy(answer.get_response().outputs[0].name).ravel()[0]
            if abs(float(got) - wanted) > 1e-9:
                raise Failed(f"{address} answers {got}, LightGBM {wanted}")
