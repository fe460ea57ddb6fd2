"""A small encoder with its tokenizer, and the vectors that onnxruntime and NumPy compute for each text alone: `goldens/text/`.

Run with the packages of tests/requirements.txt: python crates/shipway-runtime/tests/make_text_goldens.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "clients"))

from text_models import SENTENCES, encoder, export, run, unit, wordpiece  # noqa: E402

FOLDER = Path(__file__).parent / "goldens" / "text"


def main() -> None:
    tokenizer = wordpiece()
    model, classifier = (encoder(tokenizer.get_vocab_size(), labels=labels) for labels in (0, 2))
    export(FOLDER, tokenizer, model, {})
    export(FOLDER / "classifier", tokenizer, classifier, {})
    (FOLDER / "classifier" / "tokenizer.json").unlink()
    answers = []
    for text in ["", *SENTENCES]:
        encoding = tokenizer.encode(text)
        vectors = run(model, encoding)
        pooled = {"mean": vectors.mean(axis=0), "cls": vectors[0], "max": vectors.max(axis=0), "last": vectors[-1]}
        answers.append(
            {
                "text": text,
                "ids": encoding.ids,
                **{name: unit(vector.astype(numpy.float64)).tolist() for name, vector in pooled.items()},
                "logits": run(classifier, encoding).tolist(),
            }
        )
    (FOLDER / "golden.json").write_text(json.dumps(answers) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
