"""A model that does what its input tells it, and answers what came of it: what a hostile or a broken model might do."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pandas


class Odd(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return pandas.Series([self.done(*word.split(" ", 1)) for word in model_input["word"]])

    def done(self, what: str, argument: str = "") -> str:
        if what == "raise":
            raise {"ValueError": ValueError, "RuntimeError": RuntimeError, "SystemExit": SystemExit}[argument]("as it was told")
        if what == "sleep":
            time.sleep(float(argument))
        if what == "exit":
            os._exit(int(argument))
        if what == "crash":
            # What libraries die of that write where they must not.
            import ctypes

            ctypes.string_at(0)
        if what == "print":
            print(argument)
            sys.stdout.flush()
            os.write(1, b"past the buffers of Python\n")
        if what == "closes":
            # Its own end of the wire, whatever number it has.
            os.closerange(0, 1024)
        if what == "nonsense":
            for descriptor in Path("/proc/self/fd").iterdir():
                if os.readlink(descriptor).startswith("socket:"):
                    os.write(int(descriptor.name), b"\xff" * 64)
        try:
            return self.tried(what, argument)
        except BaseException as error:
            return f"{type(error).__name__}: {error}"

    def tried(self, what: str, argument: str) -> str:
        if what == "environment":
            return json.dumps(dict(os.environ))
        if what == "parent":
            return Path(f"/proc/{os.getppid()}/environ").read_text()
        if what == "pid":
            return str(os.getpid())
        if what == "read":
            return Path(argument).read_text()
        if what == "list":
            return str(os.listdir(argument))
        if what == "write":
            Path(argument).write_text("was here")
            return "written"
        if what == "spoil":
            (Path.cwd().parent / "model" / "MLmodel").write_text("spoiled")
        if what == "connect":
            socket.create_connection(("127.0.0.1", int(argument)), timeout=5)
        if what == "datagram":
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if what == "run":
            return subprocess.check_output([argument], text=True)
        if what == "fork":
            return str(os.fork())
        if what == "kill":
            os.kill(os.getppid(), 9)
        if what == "chmod":
            os.chmod(argument, 0)
        if what == "take":
            return str(len(bytearray(int(argument) << 20)))
        return what


mlflow.models.set_model(Odd())
