"""TensorZero's gateway out of its Python package: its own HTTP server, in Rust, in this process. Prints its address, then only waits.

tensorzero_gateway.py CONFIG
"""

from __future__ import annotations

import sys
import threading

from tensorzero import _start_http_gateway


def main() -> None:
    # The package has no other way to it: its clients start the same server for `patch_openai_client`.
    gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False)
    print(f"listening on {gateway.base_url}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
