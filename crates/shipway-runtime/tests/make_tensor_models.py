"""Writes the small ONNX models of tensors that the tests run: one that answers what it is given, in every type, and one that adds.

Run by hand when a new case is wanted; the outputs under goldens/ are committed:

    pip install onnx==1.23.2
    python crates/shipway-runtime/tests/make_tensor_models.py
"""

import pathlib

from onnx import TensorProto, helper

FOLDER = pathlib.Path(__file__).parent / "goldens"
TYPES = {
    "bool": TensorProto.BOOL,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "fp16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "fp32": TensorProto.FLOAT,
    "fp64": TensorProto.DOUBLE,
    "bytes": TensorProto.STRING,
}


def write(name, nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString())


def value(name, element, shape):
    return helper.make_tensor_value_info(name, element, shape)


def main():
    for word, element in TYPES.items():
        shape = ["batch", 2]
        node = helper.make_node("Identity", [f"{word}_in"], [f"{word}_out"])
        write(f"identity_{word}", [node], [value(f"{word}_in", element, shape)], [value(f"{word}_out", element, shape)])
    pair = [value(name, TensorProto.INT32, ["batch", 16]) for name in ("INPUT0", "INPUT1")]
    answers = [value(name, TensorProto.INT32, ["batch", 16]) for name in ("OUTPUT0", "OUTPUT1")]
    nodes = [
        helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
        helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
    ]
    write("add_sub", nodes, pair, answers)
    # Its weights are in a file of their own, named by what a test may put there.
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [4], bytes(16), raw=True)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, content in (("location", "outside.onnx.data"), ("offset", "0"), ("length", "16")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, content
    node = helper.make_node("Add", ["x", "weights"], ["y"])
    row = ["batch", 4]
    write("outside", [node], [value("x", TensorProto.FLOAT, row)], [value("y", TensorProto.FLOAT, row)], [weights])
    scores = [value("x", TensorProto.FLOAT, ["batch", 2, 3])]
    totals = [value("total", TensorProto.FLOAT, ["batch", 3])]
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[1])
    reduce = helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0)
    write("sum_of_rows", [axes, reduce], scores, totals)


if __name__ == "__main__":
    main()
