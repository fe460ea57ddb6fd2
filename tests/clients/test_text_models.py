"""Models of text: embeddings with the unmodified openai client, and the same models over Triton's client and the scoring protocol.

What is expected is computed for each text alone by HuggingFace's tokenizers, onnxruntime and NumPy.
"""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy
import onnx
import openai
import pytest
import requests
import tritonclient.http
from onnx import TensorProto
from real_binary import Server, onnx_library
from text_models import POSITIONS, SENTENCES, WIDTH, byte_pairs, deploy, encoder, export, fresh, log_folder, log_onnx, run, unit, wordpiece
from tokenizers import Tokenizer

NEAR = 1e-5
LABELS = ["late", "on time", "unknown"]
MODULES = [{"idx": 0, "type": "sentence_transformers.models.Transformer"}, {"idx": 1, "type": "sentence_transformers.models.Pooling"}]
NORMALIZE = {"idx": 2, "type": "sentence_transformers.models.Normalize"}


class Served(NamedTuple):
    name: str
    tokenizer: Tokenizer
    model: onnx.ModelProto

    def expected(self, text: str) -> numpy.ndarray:
        """The mean of the vectors of the text's tokens, of length one."""
        return unit(run(self.model, self.tokenizer.encode(text)).mean(axis=0))

    def tokens(self, texts: list[str]) -> int:
        return sum(len(self.tokenizer.encode(text).ids) for text in texts)


@pytest.fixture(scope="module")
def client(server_url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server_url}/v1", api_key="no key", max_retries=0)


@pytest.fixture(scope="module")
def embedder(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A folder as sentence-transformers and optimum leave it, without a description of MLflow's."""
    tokenizer = wordpiece()
    model = encoder(tokenizer.get_vocab_size())
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    files = {
        "config.json": {"architectures": ["BertModel"], "hidden_size": WIDTH, "max_position_embeddings": POSITIONS, "pad_token_id": 0},
        "modules.json": [*MODULES, NORMALIZE],
        "1_Pooling/config.json": pooling,
        "sentence_bert_config.json": {"max_seq_length": 48, "do_lower_case": False},
        "shipway_text.json": {"dimensions": [4, 8]},
    }
    name = fresh("embedder")
    folder = export(tmp_path_factory.mktemp("embedder"), tokenizer, model, files, subfolder="onnx")
    log_folder(server_url, name, folder)
    answer = deploy(server_url, name)
    assert answer.ok, answer.text
    return Served(name, tokenizer, model)


@pytest.fixture(scope="module")
def byte_embedder(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """An encoder of MLflow's flavour with files beside it, byte-level pairs, 32-bit inputs and no types; cut texts are let through."""
    tokenizer = byte_pairs()
    model = encoder(tokenizer.get_vocab_size(), element=TensorProto.INT32, types=False)
    own = {"task": "embed", "pooling": "cls", "normalize": False, "max_tokens": 20, "truncate": True}
    folder = export(tmp_path_factory.mktemp("bytes"), tokenizer, model, {"shipway_text.json": own})
    name = fresh("bytes")
    log_onnx(server_url, name, folder, ["tokenizer.json", "shipway_text.json"])
    answer = deploy(server_url, name)
    assert answer.ok, answer.text
    return Served(name, tokenizer, model)


@pytest.fixture(scope="module")
def classifier(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Served:
    tokenizer = wordpiece()
    model = encoder(tokenizer.get_vocab_size(), labels=3)
    config = {"architectures": ["BertForSequenceClassification"], "id2label": dict(enumerate(LABELS)), "max_position_embeddings": POSITIONS}
    folder = export(tmp_path_factory.mktemp("classifier"), tokenizer, model, {"config.json": config})
    name = fresh("classifier")
    log_folder(server_url, name, folder)
    answer = deploy(server_url, name)
    assert answer.ok, answer.text
    return Served(name, tokenizer, model)


def softmax(logits: numpy.ndarray) -> numpy.ndarray:
    powers = numpy.exp(logits - logits.max())
    return powers / powers.sum()


def refusal(call) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as refused:
        call()
    return refused.value


@pytest.mark.parametrize("encoding", [openai.NOT_GIVEN, "float", "base64"])
def test_the_openai_client_gets_what_the_libraries_compute(client, embedder, encoding):
    answer = client.embeddings.create(model=embedder.name, input=SENTENCES, encoding_format=encoding, user="u")
    assert answer.object == "list" and answer.model == embedder.name
    assert [one.index for one in answer.data] == list(range(len(SENTENCES)))
    for text, one in zip(SENTENCES, answer.data, strict=True):
        vector = one.embedding
        if isinstance(vector, str):
            vector = numpy.frombuffer(base64.b64decode(vector), "<f4")
        assert numpy.abs(numpy.array(vector) - embedder.expected(text)).max() < NEAR, text
    tokens = embedder.tokens(SENTENCES)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (tokens, tokens)


def test_one_text_is_a_list_of_one(client, embedder):
    [one] = client.embeddings.create(model=embedder.name, input=SENTENCES[0]).data
    assert numpy.abs(numpy.array(one.embedding) - embedder.expected(SENTENCES[0])).max() < NEAR


def test_tokens_instead_of_texts(client, embedder):
    rows = [embedder.tokenizer.encode(text).ids for text in SENTENCES]
    answer = client.embeddings.create(model=embedder.name, input=rows)
    for text, one in zip(SENTENCES, answer.data, strict=True):
        assert numpy.abs(numpy.array(one.embedding) - embedder.expected(text)).max() < NEAR, text
    assert answer.usage.prompt_tokens == embedder.tokens(SENTENCES)
    [one] = client.embeddings.create(model=embedder.name, input=rows[0]).data
    assert numpy.abs(numpy.array(one.embedding) - embedder.expected(SENTENCES[0])).max() < NEAR
    unknown = refusal(lambda: client.embeddings.create(model=embedder.name, input=[1, 100_000]))
    assert unknown.status_code == 400 and unknown.param == "input" and "tokens are 0 to" in unknown.message


def test_fewer_dimensions_are_the_first_ones_made_a_unit_again(client, embedder):
    [one] = client.embeddings.create(model=embedder.name, input=SENTENCES[0], dimensions=4).data
    assert numpy.abs(numpy.array(one.embedding) - unit(embedder.expected(SENTENCES[0])[:4])).max() < NEAR
    refused = refusal(lambda: client.embeddings.create(model=embedder.name, input="a", dimensions=5))
    assert refused.status_code == 400 and refused.param == "dimensions" and "5 dimensions" in refused.message


def test_many_texts_in_one_request_and_no_more_than_the_bound(client, embedder):
    texts = [f"{SENTENCES[place % 6][: place % 37 + 1]} {place}" for place in range(1500)]
    data = client.embeddings.create(model=embedder.name, input=texts).data
    assert len(data) == 1500
    for place in (0, 7, 1023, 1024, 1499):
        assert numpy.abs(numpy.array(data[place].embedding) - embedder.expected(texts[place])).max() < NEAR
    refused = refusal(lambda: client.embeddings.create(model=embedder.name, input=["a"] * 2049))
    assert refused.status_code == 400 and "at most 2048" in refused.message


def test_refusals_have_the_shape_that_the_client_reads(client, server_url, embedder, classifier):
    unknown = refusal(lambda: client.embeddings.create(model="nothing", input="a"))
    assert isinstance(unknown, openai.NotFoundError)
    assert (unknown.code, unknown.param, unknown.type) == ("model_not_found", "model", "invalid_request_error")
    empty = refusal(lambda: client.embeddings.create(model=embedder.name, input=["a", ""]))
    assert isinstance(empty, openai.BadRequestError) and empty.param == "input" and "input 1 is empty" in empty.message
    other = refusal(lambda: client.embeddings.create(model=classifier.name, input="a"))
    assert other.code == "serving.no_embeddings" and other.param == "model"
    text = "word " * 100
    got = len(embedder.tokenizer.encode(text).ids)
    long = refusal(lambda: client.embeddings.create(model=embedder.name, input=["a", text]))
    assert long.code == "serving.too_many_tokens" and f"input 1 has {got} tokens; the model takes at most 48" in long.message
    chat = refusal(lambda: client.chat.completions.create(model=embedder.name, messages=[{"role": "user", "content": "a"}]))
    assert chat.status_code == 404 and "does not exist" in chat.message
    broken = requests.post(f"{server_url}/v1/embeddings", data="{", headers={"Content-Type": "application/json"}, timeout=10)
    assert broken.status_code == 400 and broken.json()["error"]["type"] == "invalid_request_error"


def test_the_models_that_can_be_asked_are_listed(client, embedder, classifier):
    names = [model.id for model in client.models.list()]
    assert embedder.name in names and classifier.name not in names
    assert client.models.retrieve(embedder.name).owned_by == "shipway"
    assert isinstance(refusal(lambda: client.models.retrieve(classifier.name)), openai.BadRequestError)


def test_mlflows_flavour_with_byte_level_pairs_and_cut_texts(client, byte_embedder):
    texts = [*SENTENCES, "a long one " * 30]
    answer = client.embeddings.create(model=byte_embedder.name, input=texts)
    counted = 0
    for text, one in zip(texts, answer.data, strict=True):
        own = byte_embedder.tokenizer.encode(text, add_special_tokens=False).ids[:18]
        ids = [0, *own, 2]
        counted += len(ids)
        expected = run(byte_embedder.model, None, ids=ids)[0]
        assert numpy.abs(numpy.array(one.embedding) - expected).max() < NEAR, text
    assert answer.usage.prompt_tokens == counted


def test_company_changes_nothing(server_url, embedder):
    """Single texts of many callers run together, and each gets what it gets alone."""
    asked = [SENTENCES[place % 6] * (place % 3 + 1) for place in range(200)]
    asked = [text[:90] for text in asked]
    alone = {text: embedder.expected(text) for text in set(asked)}
    client = openai.OpenAI(base_url=f"{server_url}/v1", api_key="no key")
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda text: client.embeddings.create(model=embedder.name, input=text).data[0].embedding, asked))
    for text, answer in zip(asked, answers, strict=True):
        assert numpy.abs(numpy.array(answer) - alone[text]).max() < NEAR, text
    stats = requests.get(f"{server_url}/v2/models/{embedder.name}/stats", timeout=10).json()["model_stats"][0]
    assert 0 < stats["execution_count"] < stats["inference_count"]


@pytest.mark.parametrize("column", [False, True])
def test_triton_sends_text_and_gets_embeddings_or_scores_and_labels(server_url, embedder, classifier, column):
    triton = tritonclient.http.InferenceServerClient(server_url.removeprefix("http://"))
    shape = [len(SENTENCES), 1] if column else [len(SENTENCES)]
    given = tritonclient.http.InferInput("text", shape, "BYTES")
    given.set_data_from_numpy(numpy.array([text.encode() for text in SENTENCES], dtype=object).reshape(shape))
    answer = triton.infer(embedder.name, [given])
    embeddings = answer.as_numpy("embedding")
    assert embeddings.dtype == numpy.float32 and embeddings.shape == (len(SENTENCES), WIDTH)
    for text, embedding in zip(SENTENCES, embeddings, strict=True):
        assert numpy.abs(embedding - embedder.expected(text)).max() < NEAR
    answer = triton.infer(classifier.name, [given])
    for text, scores, label in zip(SENTENCES, answer.as_numpy("scores"), answer.as_numpy("label"), strict=True):
        expected = softmax(run(classifier.model, classifier.tokenizer.encode(text)))
        assert numpy.abs(scores - expected).max() < NEAR
        assert label.decode() == LABELS[expected.argmax()]
    metadata = triton.get_model_metadata(classifier.name)
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert [output["name"] for output in metadata["outputs"]] == ["scores", "label"]


def test_bytes_that_are_no_text_are_refused(server_url, embedder):
    triton = tritonclient.http.InferenceServerClient(server_url.removeprefix("http://"))

    def refused(data: list[bytes], shape: list[int], name: str = "text") -> str:
        given = tritonclient.http.InferInput(name, shape, "BYTES")
        given.set_data_from_numpy(numpy.array(data, dtype=object).reshape(shape))
        with pytest.raises(tritonclient.utils.InferenceServerException) as error:
            triton.infer(embedder.name, [given])
        return str(error.value)

    assert "row 1 is not UTF-8" in refused([b"a", b"\xff\xfe"], [2])
    assert "has no elements" in refused([], [0])
    assert "expected shape" in refused([b"a", b"b"], [1, 2])
    assert "row 0 has 1048577 bytes" in refused([b"a" * (1024 * 1024 + 1)], [1])


def test_the_scoring_protocol_and_the_native_one_take_a_column_of_text(server_url, embedder, classifier):
    endpoint = f"{server_url}/endpoints/{classifier.name}/invocations"
    texts = [*SENTENCES, "12345"]
    expected = [softmax(run(classifier.model, classifier.tokenizer.encode(text))) for text in texts]
    csv = "text\n" + "".join(f'"{text}"\n' for text in texts)
    numbers_alone = requests.post(endpoint, data="text\n12345\n", headers={"Content-Type": "text/csv"}, timeout=10)
    assert numpy.abs(numpy.array(numbers_alone.json()["predictions"]) - expected[-1]).max() < NEAR
    for answer in (
        requests.post(endpoint, json={"dataframe_split": {"columns": ["text"], "data": [[text] for text in texts]}}, timeout=10),
        requests.post(endpoint, json={"inputs": texts}, timeout=10),
        requests.post(endpoint, data=csv.encode(), headers={"Content-Type": "text/csv"}, timeout=10),
        requests.post(f"{server_url}/api/v1/predict/{classifier.name}", json={"rows": [{"text": text} for text in texts]}, timeout=10),
    ):
        assert answer.ok, answer.text
        assert numpy.abs(numpy.array(answer.json()["predictions"]) - numpy.array(expected)).max() < NEAR
    refused = requests.post(endpoint, json={"inputs": [5]}, timeout=10)
    assert refused.status_code == 400 and "must be text" in refused.json()["message"]


def test_texts_and_their_numbers_are_logged(server_url, client, embedder):
    text = f"logged {fresh('')}"
    embedding = client.embeddings.create(model=embedder.name, input=text).data[0].embedding
    query = f"SELECT text, prediction FROM predictions__{embedder.name} WHERE text = '{text}'"
    deadline = time.monotonic() + 30
    rows: list = []
    while not rows and time.monotonic() < deadline:
        answer = requests.post(f"{server_url}/api/v1/sql", json={"query": query}, headers={"Accept": "application/json"}, timeout=30)
        assert answer.ok, answer.text
        rows = answer.json()["rows"]
    [row] = rows
    logged = row["prediction"] if isinstance(row, dict) else row[1]
    assert numpy.abs(numpy.array(logged) - numpy.array(embedding)).max() < NEAR


def test_a_version_must_answer_its_golden_texts(server_url, tmp_path):
    tokenizer = wordpiece()
    model = encoder(tokenizer.get_vocab_size())
    expected = unit(run(model, tokenizer.encode("ok")).mean(axis=0)).tolist()
    golden = {"dataframe_split": {"columns": ["text"], "data": [["ok"]]}, "predictions": [expected], "tolerance": NEAR}
    for place, (change, status) in enumerate([(0.0, 200), (0.5, 409)]):
        golden["predictions"] = [[expected[0] + change, *expected[1:]]]
        folder = export(tmp_path / str(place), tokenizer, model, {"shipway_golden.json": golden})
        name = fresh("golden")
        log_folder(server_url, name, folder)
        answer = deploy(server_url, name)
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"shipway_text.json": {"pool": "mean"}}, "unknown field `pool`"),
        ({"modules.json": [*MODULES, {"idx": 2, "type": "sentence_transformers.models.Dense"}]}, "the module Dense"),
        ({"tokenizer.json": {"model": {"type": "Magic"}}}, "`Magic` is not supported"),
        ({"tokenizer.json": []}, "tokenizer model: "),
        ({"shipway_text.json": {"task": "classify", "labels": ["a", "b"]}}, "an output of floats for texts"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused_with_its_reason(server_url: str, tmp_path: Path, files: dict, words: str):
    tokenizer = wordpiece()
    folder = export(tmp_path, tokenizer, encoder(tokenizer.get_vocab_size()), files)
    name = fresh("refused")
    log_folder(server_url, name, folder)
    answer = deploy(server_url, name)
    assert answer.status_code == 400 and words in answer.text, answer.text


def test_an_encoder_stays_a_model_of_tensors_when_its_files_say_so(server_url, tmp_path):
    tokenizer = wordpiece()
    folder = export(tmp_path, tokenizer, encoder(tokenizer.get_vocab_size()), {"shipway_text.json": {"task": "tensors"}})
    name = fresh("tensors")
    log_folder(server_url, name, folder)
    assert deploy(server_url, name).ok
    inputs = requests.get(f"{server_url}/v2/models/{name}", timeout=10).json()["inputs"]
    assert [one["name"] for one in inputs] == ["input_ids", "attention_mask", "token_type_ids"]


def test_the_clients_key_is_a_token_of_the_server(binary, tmp_path, monkeypatch):
    monkeypatch.setenv("SHIPWAY_RUNTIME__ONNX_LIBRARY", onnx_library())
    token = "a token of more than sixteen characters"
    guarded = Server(binary, tmp_path / "data", tmp_path / "log", {"SHIPWAY_TOKEN": token})
    try:
        known = openai.OpenAI(base_url=f"{guarded.url}/v1", api_key=token, max_retries=0)
        assert list(known.models.list()) == []
        unknown = openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="wrong", max_retries=0)
        refused = refusal(lambda: unknown.models.list())
        assert isinstance(refused, openai.AuthenticationError) and refused.type == "authentication_error"
        assert json.loads(refused.response.text)["error"]["message"]
    finally:
        guarded.stop()
