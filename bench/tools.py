"""What the benchmarks need beside Shipway, fetched once into a cache folder outside the clone: the peers' packages and load generators."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def peers_python(cache: Path) -> Path:
    """The Python that the peers run under, with the packages of bench/requirements.txt."""
    required = HERE / "requirements.txt"
    digest = hashlib.sha256(required.read_bytes()).hexdigest()
    folder = cache / "bench-venv"
    python, stamp = folder / "bin" / "python", folder / ".stamp"
    if not stamp.exists() or stamp.read_text() != digest:
        print("installing the peers' pinned packages (a few minutes the first time)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(required)], check=True)
        stamp.write_text(digest)
    return python


class _Program:
    """A program of the distribution: the installed one, or one unpacked from its packages into the cache folder."""

    def __init__(self, cache: Path, name: str, packages: list[str]) -> None:
        self.environment = dict(os.environ)
        found = shutil.which(name)
        if found is None:
            folder = cache / "bench-tools"
            found = str(folder / "usr" / "bin" / name)
            if not Path(found).exists():
                _unpack_from_debian(folder, name, packages)
            libraries = [str(path) for path in (folder / "usr" / "lib").glob("*-linux-gnu")]
            self.environment["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
        self.path = found

    def version(self) -> str:
        said = subprocess.run([self.path, "-v"], env=self.environment, capture_output=True, text=True, check=False).stdout
        return " ".join(said.split()[:2])


class LoadGenerator(_Program):
    """`wrk`: a closed loop in C over epoll. A Python client would be the bottleneck."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache, "wrk", ["wrk", "libluajit-5.1-2", "libluajit-5.1-common"])


class SteadyGenerator(_Program):
    """`luajit`, for bench/steady.lua: compiled as it runs, with the kernel's calls at hand."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache, "luajit", ["luajit", "libluajit-5.1-2", "libluajit-5.1-common"])


def _unpack_from_debian(folder: Path, name: str, packages: list[str]) -> None:
    """Downloads packages of the distribution and unpacks them into `folder`; nothing is installed on the system."""
    if shutil.which("apt-get") is None:
        raise SystemExit(f"bench: error: {name} is not installed\nbench: hint: install it with this system's package manager")
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "--quiet", *packages], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
        package.unlink()
