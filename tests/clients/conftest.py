"""The real binary, started once for all client tests on a free loopback port with a fresh data folder."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cloud_gateway import clouds, signed_mock  # noqa: E402, F401
from gateway_setup import gateway  # noqa: E402, F401
from mock_provider import mock  # noqa: E402, F401
from real_binary import ROOT, allowed_folder, binary, data_dir, server, server_url  # noqa: E402, F401

PROTO = ROOT / "crates/shipway-features/proto/shipway/features/v1/features.proto"


@pytest.fixture(scope="session")
def messages(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The messages and stubs, made from the proto under a flat name, so that they do not claim the package `shipway`."""
    from grpc_tools import protoc

    folder = tmp_path_factory.mktemp("stubs")
    shutil.copy(PROTO, folder / "shipway_features_v1.proto")
    made = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    assert protoc.main(["", f"-I{folder}", *made, str(folder / "shipway_features_v1.proto")]) == 0
    sys.path.insert(0, str(folder))
    return importlib.import_module("shipway_features_v1_pb2")
