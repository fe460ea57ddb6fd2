"""Asks a server with KServe's own inference clients, unmodified, over REST and gRPC. Run by `test_kserve.py` in a process of its own: KServe and Triton
bring the same protobuf messages, and a process takes them once.

    python kserve_calls.py URL ADDER TREES        # the server, a deployment of `add_sub()`, one of a booster over columns a, b, c
"""

from __future__ import annotations

import asyncio
import json
import sys

import numpy
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

LEFT = numpy.arange(32, dtype=numpy.int32).reshape(2, 16)
ROWS = numpy.random.default_rng(9).normal(size=(4, 3))


def asked(name: str, inputs: dict[str, numpy.ndarray], datatype: str, *, binary: bool) -> InferRequest:
    tensors = []
    for one, data in inputs.items():
        tensor = InferInput(one, list(data.shape), datatype)
        tensor.set_data_from_numpy(data, binary_data=binary)
        tensors.append(tensor)
    return InferRequest(infer_inputs=tensors, model_name=name, request_id="r1", parameters={"priority": 1})


async def over_rest(url: str, adder: str, *, binary: bool) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(url) and await client.is_server_ready(url)
    assert await client.is_model_ready(url, adder)
    answer = await client.infer(url, asked(adder, {"INPUT0": LEFT, "INPUT1": LEFT}, "INT32", binary=binary), model_name=adder)
    assert (answer.id, answer.model_name) == ("r1", adder)
    assert (answer.get_output_by_name("OUTPUT0").as_numpy() == 2 * LEFT).all()
    assert (answer.get_output_by_name("OUTPUT1").as_numpy() == 0).all()
    await client.close()


async def over_grpc(url: str, adder: str, *, binary: bool) -> None:
    client = InferenceGRPCClient(url.removeprefix("http://"))
    assert await client.is_server_live() and await client.is_server_ready()
    assert await client.is_model_ready(adder)
    answer = await client.infer(asked(adder, {"INPUT0": LEFT, "INPUT1": LEFT}, "INT32", binary=binary))
    assert answer.id == "r1"
    assert (answer.get_output_by_name("OUTPUT0").as_numpy() == 2 * LEFT).all()
    await client.close()


async def of_trees(url: str, trees: str) -> list[float]:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    answer = await client.infer(url, asked(trees, {"rows": ROWS}, "FP64", binary=True), model_name=trees)
    await client.close()
    return answer.outputs[0].as_numpy().tolist()


async def refused(url: str, adder: str) -> str:
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    try:
        await client.infer(url, asked(adder, {"INPUT0": LEFT}, "INT32", binary=False), model_name=adder)
    except Exception as error:  # noqa: BLE001 - whatever the client raises is looked at
        return str(error)
    finally:
        await client.close()
    return "it was answered"


def main(url: str, adder: str, trees: str) -> None:
    for binary in (False, True):
        asyncio.run(over_rest(url, adder, binary=binary))
        asyncio.run(over_grpc(url, adder, binary=binary))
    print(json.dumps({"trees": asyncio.run(of_trees(url, trees)), "refused": asyncio.run(refused(url, adder))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
