"""Small models of text for the tests: encoders as ONNX with random weights, tokenizers that are trained here, and what they answer by
HuggingFace's tokenizers, onnxruntime and NumPy."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import mlflow
import numpy
import onnx
import onnxruntime
import requests
from mlflow import MlflowClient
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = [
    "The flight from Newark to Chicago was delayed by weather.",
    "A crew was late; the next departure leaves at 17:45.",
    "Zürich, São Paulo and naïve cafés",
    "東京 is served twice a day",
    "ok",
    "Passengers were re-booked on the evening flight, which was full, and on the first one of the next day, which was not.",
]

WIDTH, POSITIONS = 16, 64


def wordpiece() -> Tokenizer:
    """A tokenizer like BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def byte_pairs() -> Tokenizer:
    """A tokenizer like RoBERTa's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def encoder(words: int, labels: int = 0, element: int = TensorProto.INT64, types: bool = True) -> onnx.ModelProto:
    """One layer of attention over words and their places; `last_hidden_state`, or logits of the first token when it has labels."""
    random = numpy.random.default_rng(11)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.normal(scale=0.6, size=shape).astype(numpy.float32), name)

    def whole(name: str, value: list[int]) -> onnx.TensorProto:
        return numpy_helper.from_array(numpy.array(value, dtype=numpy.int64), name)

    constants = [weights("words", words, WIDTH), weights("places", POSITIONS, WIDTH), weights("mix", WIDTH, WIDTH)]
    constants += [whole("zero", [0]), whole("one", [1]), whole("two", [2]), whole("middle", [1])]
    constants += [numpy_helper.from_array(numpy.array(value, dtype=numpy.float32), name) for name, value in (("real_one", 1), ("far", -1e9))]
    node = helper.make_node
    nodes = [
        node("Gather", ["words", "input_ids"], ["of_words"]),
        node("Shape", ["input_ids"], ["shape"]),
        node("Slice", ["shape", "one", "two", "zero"], ["length"]),
        node("Slice", ["places", "zero", "length", "zero"], ["of_places"]),
        node("Add", ["of_words", "of_places"], ["placed"]),
    ]
    tokens = "placed"
    if types:
        constants.append(weights("types", 2, WIDTH))
        nodes += [node("Gather", ["types", "token_type_ids"], ["of_types"]), node("Add", ["placed", "of_types"], ["typed"])]
        tokens = "typed"
    nodes += [
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Sub", ["real_one", "mask"], ["hidden"]),
        node("Mul", ["hidden", "far"], ["away"]),
        node("Unsqueeze", ["away", "middle"], ["bias"]),
        node("Transpose", [tokens], ["turned"], perm=[0, 2, 1]),
        node("MatMul", [tokens, "turned"], ["alike"]),
        node("Add", ["alike", "bias"], ["masked"]),
        node("Softmax", ["masked"], ["attention"], axis=-1),
        node("MatMul", ["attention", tokens], ["seen"]),
        node("MatMul", ["seen", "mix"], ["mixed"]),
        node("Add", ["mixed", tokens], ["last_hidden_state"]),
    ]
    batch: list[Any] = ["batch", "sequence"]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*batch, WIDTH])
    if labels:
        constants += [weights("head", WIDTH, labels), numpy_helper.from_array(numpy.array(0, dtype=numpy.int64), "first")]
        nodes += [node("Gather", ["last_hidden_state", "first"], ["cls"], axis=1), node("MatMul", ["cls", "head"], ["logits"])]
        output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    inputs = [helper.make_tensor_value_info(name, element, batch) for name in names]
    graph = helper.make_graph(nodes, "encoder", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def export(folder: Path, tokenizer: Tokenizer, model: onnx.ModelProto, files: dict[str, Any], subfolder: str = "") -> Path:
    """A folder as exports of models of text are laid out."""
    (folder / subfolder).mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / subfolder / "model.onnx")
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return folder


def run(model: onnx.ModelProto, encoding: Any, most: int = POSITIONS, ids: list[int] | None = None) -> numpy.ndarray:
    """What onnxruntime answers for one text alone, without filling up."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    tokens = (ids or encoding.ids)[:most]
    given = {"input_ids": tokens, "attention_mask": [1] * len(tokens), "token_type_ids": [0] * len(tokens)}
    kinds = {"tensor(int64)": numpy.int64, "tensor(int32)": numpy.int32}
    feed = {one.name: numpy.array([given[one.name]], dtype=kinds[one.type]) for one in session.get_inputs()}
    return session.run(None, feed)[0][0]


def unit(vector: numpy.ndarray) -> numpy.ndarray:
    return vector / numpy.linalg.norm(vector)


def log_folder(url: str, name: str, folder: Path) -> int:
    """Logs a folder as it is, without MLflow's description, and registers it."""
    prepare(url)
    client = MlflowClient(url, url)
    with mlflow.start_run() as started:
        mlflow.log_artifacts(str(folder), "model")
    client.create_registered_model(name)
    run_id = started.info.run_id
    version = client.create_model_version(name, f"runs:/{run_id}/model", run_id)
    client.set_registered_model_alias(name, "champion", version.version)
    return int(version.version)


def log_onnx(url: str, name: str, folder: Path, extra: list[str]) -> int:
    """Logs an encoder with MLflow's flavour, and files beside it."""
    prepare(url)
    model = onnx.load(folder / "model.onnx")
    files = [str(folder / file) for file in extra]
    with mlflow.start_run():
        info = mlflow.onnx.log_model(model, name="model", registered_model_name=name, pip_requirements=["numpy"], extra_files=files)
    MlflowClient(url, url).set_registered_model_alias(name, "champion", info.registered_model_version)
    return int(info.registered_model_version)


def prepare(url: str) -> None:
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    mlflow.set_experiment("texts")


def fresh(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:8]}"


def deploy(url: str, name: str, **settings: Any) -> requests.Response:
    return requests.put(f"{url}/api/v1/deployments/{name}", json={"model": name, "alias": "champion", **settings}, timeout=60)
