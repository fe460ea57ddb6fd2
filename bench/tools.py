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
    return _environment(cache / "bench-venv", HERE / "requirements.txt", "the peers' pinned packages")


def serving_python(cache: Path) -> Path:
    """The Python that other model servers run under, with the packages of bench/serving-requirements.txt."""
    return _environment(cache / "serving-venv", HERE / "serving-requirements.txt", "the pinned packages of other model servers")


def frameworks_python(cache: Path) -> Path:
    """The Python that Ray Serve and BentoML run under, with the packages of bench/serving-frameworks-requirements.txt."""
    requirements = HERE / "serving-frameworks-requirements.txt"
    return _environment(cache / "serving-frameworks-venv", requirements, "the pinned packages of serving frameworks")


def litellm_python(cache: Path) -> Path:
    """The Python that the proxy of LiteLLM runs under, with the packages of bench/gateway-litellm-requirements.txt."""
    return _environment(cache / "litellm-venv", HERE / "gateway-litellm-requirements.txt", "the pinned packages of LiteLLM's proxy")


def tensorzero_python(cache: Path) -> Path:
    """The Python that TensorZero's gateway is started from, with the packages of bench/gateway-tensorzero-requirements.txt."""
    return _environment(cache / "tensorzero-venv", HERE / "gateway-tensorzero-requirements.txt", "the pinned packages of TensorZero's gateway")


class Flink:
    """Flink out of its Python package, in an environment of its own, and the connector to Kafka from its published Java package."""

    def __init__(self, cache: Path) -> None:
        self.python = _environment(cache / "flink-venv", HERE / "flink-requirements.txt", "Flink's pinned packages")
        asked = [str(self.python), "-c", "import pathlib, pyflink; print(pathlib.Path(pyflink.__file__).parent)"]
        self.home = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
        self.connector = self._connect()

    def _connect(self) -> str:
        """Puts the connector beside Flink's own packages, and says which it is. What lies there is loaded once, not for every job."""
        model = HERE / "peers" / "flink" / "pom.xml"
        stamp = self.home / "lib" / ".connector"
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != digest:
            for old in (self.home / "lib").glob("flink-sql-connector-kafka-*.jar"):
                old.unlink()
            if shutil.which("mvn") is None:
                raise SystemExit("bench: error: mvn is not installed\nbench: hint: install maven with this system's package manager")
            command = ["mvn", "-q", "-B", "-Dstyle.color=never", "-f", str(model), "dependency:copy-dependencies"]
            command += ["-DexcludeTransitive=true", f"-DoutputDirectory={self.home / 'lib'}"]
            subprocess.run(command, check=True, stdout=sys.stderr)
            stamp.write_text(digest)
        return next((self.home / "lib").glob("flink-sql-connector-kafka-*.jar")).stem


def _environment(folder: Path, required: Path, what: str) -> Path:
    """The Python of a virtual environment in `folder` that has the packages of `required` and no others."""
    digest = hashlib.sha256(required.read_bytes()).hexdigest()
    python, stamp = folder / "bin" / "python", folder / ".stamp"
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"installing {what} (a few minutes the first time)", flush=True)
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


class GrpcGenerator(_Program):
    """`h2load`: a closed loop in C over HTTP/2, which can send gRPC's frames. A Python client would be the bottleneck."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache, "h2load", ["nghttp2-client", "libnghttp2-14", "libev4", "libjansson4", "libjemalloc2"])

    def version(self) -> str:
        asked = [self.path, "--version"]
        return subprocess.run(asked, env=self.environment, capture_output=True, text=True, check=False).stdout.strip()


def _unpack_from_debian(folder: Path, name: str, packages: list[str]) -> None:
    """Downloads packages of the distribution and unpacks them into `folder`; nothing is installed on the system."""
    if shutil.which("apt-get") is None:
        raise SystemExit(f"bench: error: {name} is not installed\nbench: hint: install it with this system's package manager")
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "--quiet", *packages], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
        package.unlink()
