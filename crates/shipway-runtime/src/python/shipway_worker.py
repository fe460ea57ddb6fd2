"""Runs one model for the server: questions come in over a socket, answers go back, one at a time.

A frame is four bytes with the length of its header, eight with that of its body, both little-endian, the header as JSON, and the
body: the elements of tensors, one after the other. The server takes nothing that comes from here for granted.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
LENGTHS = struct.Struct("<IQ")
NUMBERS = {
    "BOOL": "bool", "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64", "UINT8": "uint8", "UINT16": "uint16",
    "UINT32": "uint32", "UINT64": "uint64", "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
WORDS = {name: word for word, name in NUMBERS.items()}


class Wire:
    """The socket to the server."""

    def __init__(self) -> None:
        # What the model prints goes to standard error, which is the server's log, and never between two frames.
        self.file = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.close(nothing)
        for number in sorted(int(name) for name in os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else range(3, 1024):
            if number > 2 and number != self.file:
                try:
                    os.close(number)
                except OSError:
                    continue

    def read(self, size: int) -> bytearray:
        content = bytearray(size)
        view = memoryview(content)
        while view:
            count = os.readv(self.file, [view])
            if count == 0:
                # The server has gone away.
                os._exit(0)
            view = view[count:]
        return content

    def receive(self) -> tuple[dict, bytearray]:
        header, body = LENGTHS.unpack(self.read(LENGTHS.size))
        return json.loads(self.read(header)), self.read(body)

    def send(self, header: dict, parts: tuple[bytes, ...] | list[bytes] = ()) -> None:
        words = json.dumps(header).encode()
        for part in (LENGTHS.pack(len(words), sum(map(len, parts))) + words, *parts):
            view = memoryview(part)
            while view:
                view = view[os.write(self.file, view) :]


def said(error: BaseException) -> str:
    """The last line of a traceback; all of it goes to the log."""
    traceback.print_exception(error)
    sys.stderr.flush()
    return traceback.format_exception_only(error)[-1].strip()[:500]


def is_refusal(error: BaseException) -> bool:
    """Whether an exception speaks of what was asked, as far as its type tells."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, ValueError | TypeError | LookupError) or "MlflowException" in names


def enter(start: dict) -> None:
    """Bounds and confines the process, then opens the packages that the model needs."""
    sys.path.insert(0, HERE)
    import shipway_sandbox as sandbox

    sys.path.remove(HERE)
    sandbox.limits(start["memory_bytes"])
    roots = {sys.base_prefix, sys.prefix, os.path.dirname(os.path.dirname(sys.executable)), *sys.path}
    readable = [path for path in (*sorted(roots), start["model"], start["packages"]) if path and path != "/" and os.path.exists(path)]
    try:
        sandbox.confine(readable, start["scratch"], start["private"], start["server"])
    except sandbox.Unconfined as error:
        if start["sandbox_required"]:
            raise
        print(f"not confined: {error}", file=sys.stderr, flush=True)
    import site

    if start["packages"] is None:
        site.main()
    else:
        site.addsitedir(start["packages"])


def differences(start: dict) -> list[str]:
    """What the environment has in other versions than the model was made with."""
    from importlib import metadata

    found = []
    made, here = start["python_version"], ".".join(map(str, sys.version_info[:2]))
    if made and made.split(".")[:2] != here.split("."):
        found.append(f"Python {made} (there is {here})")
    for line in (start["requirements"] or "").splitlines():
        name, pinned, version = line.partition("#")[0].partition(";")[0].strip().partition("==")
        name = name.partition("[")[0].strip()
        if not pinned or not name:
            continue
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            found.append(f"{name} {version} (not there)")
            continue
        if installed != version.strip():
            found.append(f"{name} {version} (there is {installed})")
    return found


class Model:
    """The loaded model, and how tensors become what it takes."""

    def __init__(self, start: dict) -> None:
        import mlflow.pyfunc
        import numpy
        import pandas

        self.numpy, self.pandas = numpy, pandas
        self.form, self.unnamed, self.outputs = start["form"], start["unnamed"], start["outputs"]
        self.types = {column["name"]: column["type"] for column in start["columns"]}
        self.model = mlflow.pyfunc.load_model(start["model"])

    def answer(self, header: dict, body: bytearray) -> list[tuple[str, object]]:
        arrays, at = [], 0
        for tensor in header["inputs"]:
            end = at + tensor["bytes"]
            arrays.append((tensor["name"], self.array(tensor, memoryview(body)[at:end])))
            at = end
        return self.named(self.model.predict(self.question(arrays)))

    def array(self, tensor: dict, content: memoryview) -> object:
        numpy, kind = self.numpy, tensor["datatype"]
        if kind != "BYTES":
            return numpy.frombuffer(content, dtype=NUMBERS[kind]).reshape(tensor["shape"]).copy()
        texts, at = [], 0
        while at < len(content):
            (size,) = struct.unpack_from("<I", content, at)
            texts.append(bytes(content[at + 4 : at + 4 + size]))
            at += 4 + size
        if self.form != "frame":
            return numpy.array([text.decode() for text in texts], dtype=str).reshape(tensor["shape"])
        type_ = self.types[tensor["name"]]
        values = [text if type_ == "binary" else text.decode() for text in texts]
        for place in tensor["nulls"]:
            values[place] = None
        if type_ == "datetime":
            return self.pandas.to_datetime(self.pandas.Series(values, dtype=object), utc=True, format="ISO8601").dt.tz_localize(None)
        array = numpy.empty(len(values), dtype=object)
        array[:] = values
        return array

    def question(self, arrays: list[tuple[str, object]]) -> object:
        if self.form == "single":
            return arrays[0][1]
        if self.form == "named":
            return dict(arrays)
        frame = self.pandas.DataFrame(dict(arrays))
        if self.unnamed:
            frame.columns = range(len(arrays))
        return frame

    def named(self, answer: object) -> list[tuple[str, object]]:
        """The answer as arrays with names, in the order of the signature."""
        pandas = self.pandas
        if hasattr(answer, "detach"):
            answer = answer.detach().cpu().numpy()
        if hasattr(answer, "toarray"):
            answer = answer.toarray()
        if isinstance(answer, list) and answer and all(isinstance(row, dict) for row in answer):
            answer = pandas.DataFrame(answer)
        if isinstance(answer, pandas.DataFrame):
            found = {str(name): answer.iloc[:, place] for place, name in enumerate(answer.columns)}
        elif isinstance(answer, dict):
            found = {str(name): value for name, value in answer.items()}
        else:
            found = {"predict": answer}
        if self.outputs and len(self.outputs) == 1 and len(found) == 1:
            found = {self.outputs[0]["name"]: next(iter(found.values()))}
        if not self.outputs:
            return [(name, self.typed(values, None)) for name, values in found.items()]
        missing = [output["name"] for output in self.outputs if output["name"] not in found]
        if missing:
            raise RuntimeError(f"the signature promises {', '.join(missing)}; the model answered {', '.join(found)}")
        return [(output["name"], self.typed(found[output["name"]], output["datatype"])) for output in self.outputs]

    def typed(self, values: object, datatype: str | None) -> tuple[str, object, bytes]:
        """Word, shape and bytes of an array."""
        numpy = self.numpy
        array = numpy.asarray(values)
        if array.dtype.kind == "O" and datatype != "BYTES":
            if all(value is None or isinstance(value, bool | int | float | numpy.number) for value in array.flat):
                array = array.astype("float64")
        if array.dtype.kind in "biuf" and datatype in NUMBERS:
            array = array.astype(NUMBERS[datatype], copy=False)
        if array.dtype.kind == "M":
            array = numpy.datetime_as_string(array)
        word = WORDS.get(array.dtype.name)
        if word is not None:
            return word, array.shape, numpy.ascontiguousarray(array).tobytes()
        if array.dtype.kind not in "OUS":
            raise RuntimeError(f"the model answered {array.dtype}, for which there is no type of tensors")
        texts = [text(value) for value in array.flat]
        return "BYTES", array.shape, b"".join(struct.pack("<I", len(value)) + value for value in texts)


def text(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value, default=str)).encode()


def serve(wire: Wire, model: Model) -> None:
    while True:
        header, body = wire.receive()
        try:
            answers = model.answer(header, body)
        except BaseException as error:  # noqa: BLE001 - whatever the model raises is an answer
            kind = "refused" if is_refusal(error) else "failed"
            wire.send({"call": header["call"], "error": {"kind": kind, "message": said(error)}})
            continue
        outputs = [
            {"name": name, "datatype": word, "shape": list(shape), "bytes": len(content)} for name, (word, shape, content) in answers
        ]
        wire.send({"call": header["call"], "outputs": outputs}, [content for _, (_, _, content) in answers])


def main() -> None:
    wire = Wire()
    start, _ = wire.receive()
    kind = "sandbox"
    try:
        enter(start)
        kind = "environment"
        found = differences(start)
        if found and start["must_match"]:
            raise RuntimeError("the environment is another one than the model's: " + ", ".join(found))
        kind = "load"
        model = Model(start)
    except BaseException as error:  # noqa: BLE001 - whatever keeps the model from loading is an answer
        wire.send({"call": 0, "error": {"kind": kind, "message": said(error)}})
        os._exit(1)
    wire.send({"call": 0, "outputs": [], "differences": found[:50]})
    serve(wire, model)


main()
