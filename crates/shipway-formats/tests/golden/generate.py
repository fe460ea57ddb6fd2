"""Writes the golden messages with other implementations than ours: fastavro, and Google's protobuf.

    pip install fastavro protobuf grpcio-tools
    python tests/golden/generate.py
"""

import datetime
import decimal
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import uuid

import fastavro

HERE = pathlib.Path(__file__).parent
UTC = datetime.timezone.utc


def avro_flight(number, following):
    return {
        "id": -(2**62) + number,
        "seats": 2**31 - 1,
        "carrier": "Ünited ✈",
        "cancelled": True,
        "delay": -0.25,
        "ratio": 0.5,
        "fare": decimal.Decimal("-1234567890.12"),
        "tax": decimal.Decimal("0.07"),
        "at": datetime.datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
        "landed": datetime.datetime(2013, 3, 11, 5, 30, 0, 123456, tzinfo=UTC),
        "day": datetime.date(2024, 2, 29),
        "cause": "WEATHER",
        "stops": ["ORD", "", "SFO"],
        "weights": {"b": 1.5, "a": -2.0},
        "payload": b"\x00\xff\x10",
        "code": uuid.UUID("12345678-1234-5678-1234-567812345678"),
        "origin": {"name": "EWR", "gate": {"number": 42}},
        "next": following,
    }


def write_avro():
    schema = fastavro.parse_schema(json.loads((HERE / "flight.avsc").read_text()))
    into = io.BytesIO()
    fastavro.schemaless_writer(into, schema, avro_flight(1, avro_flight(2, None)))
    (HERE / "flight.avro.bin").write_bytes(into.getvalue())


def write_protobuf():
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE}", f"--python_out={folder}", "flight.proto"]
        subprocess.run(command, check=True)
        sys.path.insert(0, folder)
        import flight_pb2

    flight = flight_pb2.Flight(
        id=-(2**62),
        seats=2**32 - 1,
        carrier="Ünited ✈",
        cancelled=True,
        delay=0.0,
        ratio=0.5,
        fare="12.50",
        cause=flight_pb2.WEATHER,
        stops=["ORD", "", "SFO"],
        weights={"b": 1.5, "a": -2.0},
        payload=b"\x00\xff\x10",
        agency=-7,
        packed=[1, -2, 3],
        large=2**63 - 1,
    )
    flight.at.FromDatetime(datetime.datetime(1969, 12, 31, 23, 59, 59, 999999))
    flight.score.value = 2.5
    flight.origin.name = "EWR"
    flight.origin.gate.number = 42
    (HERE / "flight.protobuf.bin").write_bytes(flight.SerializeToString(deterministic=True))


if __name__ == "__main__":
    write_avro()
    write_protobuf()
