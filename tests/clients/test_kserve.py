"""KServe's own inference clients, unmodified, over REST and gRPC."""

from __future__ import annotations

import asyncio

import numpy
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from serving_models import add_sub, booster, deploy

LEFT = numpy.arange(32, dtype=numpy.int32).reshape(2, 16)


@pytest.fixture(scope="module")
def adder(server_url: str) -> str:
    return deploy(server_url, add_sub())


def asked(name: str, inputs: dict[str, numpy.ndarray], datatype: str, *, binary: bool) -> InferRequest:
    tensors = []
    for one, data in inputs.items():
        tensor = InferInput(one, list(data.shape), datatype)
        tensor.set_data_from_numpy(data, binary_data=binary)
        tensors.append(tensor)
    return InferRequest(infer_inputs=tensors, model_name=name, request_id="r1", parameters={"priority": 1})


@pytest.mark.parametrize("in_bytes", [False, True])
def test_the_rest_client(server_url, adder, in_bytes):
    async def ask() -> None:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        assert await client.is_server_live(server_url)
        assert await client.is_server_ready(server_url)
        assert await client.is_model_ready(server_url, adder)
        request = asked(adder, {"INPUT0": LEFT, "INPUT1": LEFT}, "INT32", binary=in_bytes)
        answer = await client.infer(server_url, request, model_name=adder)
        assert (answer.id, answer.model_name) == ("r1", adder)
        assert (answer.get_output_by_name("OUTPUT0").as_numpy() == 2 * LEFT).all()
        assert (answer.get_output_by_name("OUTPUT1").as_numpy() == 0).all()
        await client.close()

    asyncio.run(ask())


@pytest.mark.parametrize("in_bytes", [False, True])
def test_the_grpc_client(server_url, adder, in_bytes):
    async def ask() -> None:
        client = InferenceGRPCClient(server_url.removeprefix("http://"))
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready(adder)
        answer = await client.infer(asked(adder, {"INPUT0": LEFT, "INPUT1": LEFT}, "INT32", binary=in_bytes))
        assert answer.id == "r1"
        assert (answer.get_output_by_name("OUTPUT0").as_numpy() == 2 * LEFT).all()
        await client.close()

    asyncio.run(ask())


def test_rows_of_a_model_of_trees(server_url):
    trees = booster()
    name = deploy(server_url, trees)
    rows = numpy.random.default_rng(9).normal(size=(4, 3))

    async def ask() -> numpy.ndarray:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        request = asked(name, {"rows": rows}, "FP64", binary=True)
        answer = await client.infer(server_url, request, model_name=name)
        await client.close()
        return answer.outputs[0].as_numpy()

    assert numpy.abs(asyncio.run(ask()) - trees.predict(rows)).max() < 1e-12


def test_what_is_wrong_is_told(server_url, adder):
    async def ask() -> None:
        client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
        with pytest.raises(Exception, match="INPUT1"):
            await client.infer(server_url, asked(adder, {"INPUT0": LEFT}, "INT32", binary=False), model_name=adder)
        await client.close()

    asyncio.run(ask())
