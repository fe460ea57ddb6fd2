"""A private PostgreSQL for benchmarks and client tests: on loopback, in a temporary folder, with the settings that it comes with."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from server import Failed

INSTALLED = Path("/usr/lib/postgresql")
USER = "shipway"
READY_WITHIN_SECONDS = 60.0


def newest_installed() -> Path | None:
    """The folder of the programs of the newest PostgreSQL on this machine, from the distribution's package `postgresql`."""
    found = [path for path in INSTALLED.glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0), default=None)


class Postgres:
    """A cluster of its own. It does not run as root, so root hands it to an account without rights; it trusts whoever is on this machine."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._account = _account() if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="shipway-postgres-"))
        if self._account:
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen | None = None
        try:
            self._run("initdb", "-D", str(self._folder / "data"), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C")
            self.version: str = self._run("postgres", "--version").split()[2]
            self._log = (self._folder / "log").open("w")
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Starts the cluster, again after `halt`, and waits until it answers."""
        # Its defaults, above all: what is committed is on the disk.
        data = str(self._folder / "data")
        command = [str(self._programs / "postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, cwd=self._folder, **self._rights())
        self._wait()

    def halt(self) -> None:
        """Ends the cluster; its data stay."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # it waits for no session to end by itself
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise Failed(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()[-4000:]}")

    def create(self, database: str) -> str:
        """Creates an empty database; its address."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, database)
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def tables(self, database: str) -> int:
        """How many tables somebody made in a database."""
        asked = "select count(*) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        return int(self._run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database, "-Atc", asked))

    def stop(self) -> None:
        """Ends the cluster and removes it."""
        self.halt()
        if self._process is not None:
            self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._folder, timeout=120, **self._rights())
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr[-4000:]}")
        return done.stdout.strip()

    def _rights(self) -> dict:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}


def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Failed("neither the account postgres nor nobody exists: PostgreSQL does not run as root")
