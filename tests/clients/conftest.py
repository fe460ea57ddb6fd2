"""The real binary, started once for all client tests on a free loopback port with a fresh data folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from real_binary import ROOT, allowed_folder, binary, data_dir, server, server_url  # noqa: E402, F401
