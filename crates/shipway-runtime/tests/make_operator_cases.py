"""Writes the test cases of the ONNX standard, one model with one operator each, for `cargo run --example onnx_cases -- FOLDER`.

Run by hand when rten changes; what comes out is not committed:

    pip install onnx==1.23.2
    python crates/shipway-runtime/tests/make_operator_cases.py FOLDER
"""

import json
import pathlib
import sys

import numpy
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

TYPES = {"float32": "FP32", "float16": "FP16", "int64": "INT64", "int32": "INT32", "int8": "INT8", "uint8": "UINT8", "bool": "BOOL"}
MOST = 200_000
# From which input on those of an operator are constants.
CONSTANTS = {"ConstantOfShape": 0, "Range": 0} | dict.fromkeys(["Expand", "OneHot", "Pad", "Resize", "Tile"], 1)
CONSTANTS |= dict.fromkeys([f"Reduce{kind}" for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")], 1)


def tensor(array, value):
    if isinstance(array, onnx.TensorProto):
        array = numpy_helper.to_array(array)
    array = numpy.asarray(array)
    numbers = [float(number) if numpy.isfinite(number) else str(number) for number in array.astype(numpy.float64).ravel()]
    return {"name": value.name, "datatype": TYPES[str(array.dtype)], "shape": list(array.shape), "numbers": numbers}


def made_constant(model, inputs):
    """Sizes, axes and the like are constants of a model; here they are inputs, which is refused as a size that a caller sends."""
    left = []
    for place, (array, value) in enumerate(list(zip(inputs, model.graph.input, strict=True))):
        is_numbers = isinstance(array, numpy.ndarray) and array.dtype in (numpy.int64, numpy.float32) and array.ndim <= 1
        if is_numbers and model.graph.node[0].op_type in CONSTANTS and place >= CONSTANTS[model.graph.node[0].op_type]:
            model.graph.initializer.append(numpy_helper.from_array(array, value.name))
            model.graph.input.remove(value)
        else:
            left.append(array)
    return left


def described(case, inputs, outputs):
    graph = case.model.graph
    inputs = made_constant(case.model, inputs)
    return {
        "name": case.name,
        "operators": sorted({node.op_type for node in graph.node}),
        "inputs": [tensor(*pair) for pair in zip(inputs, graph.input, strict=True)],
        "outputs": [tensor(*pair) for pair in zip(outputs, graph.output, strict=True)],
        "relative": case.rtol,
        "absolute": case.atol,
    }


def main(folder):
    folder.mkdir(exist_ok=True)
    count = left_out = 0
    for case in collect_testcases(None):
        for inputs, outputs in case.data_sets:
            try:
                content = described(case, inputs, outputs)
            except (KeyError, TypeError, ValueError):  # types that rten has not, lists, optional inputs
                left_out += 1
                continue
            if max((len(sent["numbers"]) for sent in content["inputs"]), default=0) > MOST:
                left_out += 1
                continue
            (folder / f"{count}.onnx").write_bytes(case.model.SerializeToString())
            (folder / f"{count}.json").write_text(json.dumps(content))
            count += 1
    print(f"{count} cases, {left_out} left out")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
