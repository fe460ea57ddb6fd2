"""Small tokenizers of every kind that is read, and the ids that HuggingFace's library answers for texts: `goldens/tokenizers/`.

Run with the packages of tests/requirements.txt: python crates/shipway-runtime/tests/make_tokenizer_goldens.py
"""

from __future__ import annotations

import base64
import json
import random
import struct
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = Path(__file__).parent / "goldens" / "tokenizers"

WORDS = (
    "the flight from newark to chicago was delayed by weather and by crew it's we'll they'd re-booked 1234 2024-05-06 "
    "Zürich São Paulo naïve café résumé Straße ΟΔΟΣ Москва привет мир 東京 大阪 한국어 مرحبا שלום 🙂 👩‍👩‍👧 e\u0301te\u0301 ﬁne ① ½ "
    "don't $9.99 a/b (see) [note] {x} <tag> user@example.com #tag 100% \u00a0 \u200b \u3000 ＡＢＣ ｶﾞ"
).split(" ")

LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def texts(seed: int, count: int) -> list[str]:
    """Sentences of the words above, with every kind of space, capitals, cut words and characters from everywhere."""
    chance = random.Random(seed)
    found = ["", " ", "\n", "a", "  two  spaces ", "tab\tand\nnewline\r\n", "[CLS] [SEP] inside", "x[MASK]y <s></s>", "\x00\ufffd\x07ctl"]
    spaces = [" ", " ", " ", "  ", "\t", "\n", " \n ", ", ", ".", "-", "   ", "\u00a0"]
    while len(found) < count:
        parts = []
        for _ in range(chance.randint(1, 14)):
            word = chance.choice(WORDS)
            kind = chance.random()
            if kind < 0.15:
                word = word.upper()
            elif kind < 0.3:
                word = word[: chance.randint(0, len(word))]
            elif kind < 0.36:
                word = "".join(chr(chance.choice([*range(33, 0x250), *range(0x300, 0x370), *range(0x4E00, 0x4E40)])) for _ in range(3))
            elif kind < 0.4:
                word = chance.choice(["[SEP]", "[MASK]", "<mask>", "</s>", "<|end|>", "zzz" * 60])
            parts += [word, chance.choice(spaces)]
        found.append("".join(parts))
    return found


def charsmap(pairs: dict[str, str]) -> str:
    """SentencePiece's compiled map of strings to strings: a double-array trie and a block of strings."""
    block, values = b"", {}
    for text, replacement in pairs.items():
        values[text.encode()] = len(block)
        block += replacement.encode() + b"\0"
    nodes: dict[bytes, set[int]] = {b"": set()}
    for key in values:
        for length in range(len(key)):
            nodes.setdefault(key[:length], set()).add(key[length])
            nodes.setdefault(key[: length + 1], set())
    units: dict[int, int] = {}
    waiting, taken = [(b"", 0)], {0}
    while waiting:
        key, place = waiting.pop(0)
        wanted = [*nodes[key], *([0] if key in values else [])]
        base = next(base for base in range(1, 1 << 20) if not any(base ^ label in taken for label in wanted))
        taken |= {base ^ label for label in wanted}
        units[place] = (key[-1] if key else 0) | ((key in values) << 8) | ((place ^ base) << 10)
        waiting += [(key + bytes([label]), base ^ label) for label in nodes[key]]
        if key in values:
            units[base] = values[key] | 1 << 31
    array = b"".join(struct.pack("<I", units.get(place, 0)) for place in range((max(units) // 256 + 1) * 256))
    return base64.b64encode(struct.pack("<I", len(array)) + array + block).decode()


def trained(tokenizer: Tokenizer, trainer: trainers.Trainer, encoding: str = "utf-8") -> Tokenizer:
    tokenizer.train_from_iterator([text.encode(encoding, "ignore").decode(encoding) for text in texts(1, 400)], trainer)
    return tokenizer


def framed(tokenizer: Tokenizer, first: str, last: str, second_type: int = 0) -> Tokenizer:
    ids = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    single = f"{first}:0 $A:{second_type} {last}:{second_type}"
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=f"{first} $A {last} $B:1", special_tokens=ids)
    return tokenizer


def bert(lowercase: bool, accents: bool | None = None) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trained(tokenizer, trainers.WordPieceTrainer(vocab_size=500, special_tokens=tokens, show_progress=False))
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    tokenizer.enable_truncation(max_length=64)
    return framed(tokenizer, "[CLS]", "[SEP]")


def byte_level(prefix_space: bool, ignore_merges: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokens = ["<s>", "<pad>", "</s>", "<unk>"]
    trained(tokenizer, trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, special_tokens=tokens, show_progress=False))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    tokenizer.add_tokens([AddedToken("newark", single_word=True), AddedToken("<|end|>", rstrip=True)])
    sep, cls = ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>"))
    tokenizer.post_processor = processors.RobertaProcessing(sep, cls, add_prefix_space=prefix_space)
    return tokenizer


def split_bytes() -> Tokenizer:
    tokenizer = byte_level(False, ignore_merges=True)
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(LLAMA), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    template = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(), template])
    return tokenizer


def sentencepiece_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(0, 256, 2))]
    trained(tokenizer, trainers.BpeTrainer(vocab_size=600, limit_alphabet=40, special_tokens=tokens, show_progress=False))
    tokenizer.decoder = decoders.ByteFallback()
    return framed(tokenizer, "<s>", "</s>")


def word_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\s+"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)])
    trainer = trainers.BpeTrainer(
        vocab_size=400, limit_alphabet=60, end_of_word_suffix="</w>", special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    return framed(trained(tokenizer, trainer), "<s>", "</s>")


def unigram(scheme: str) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    pairs = {"ﬁ": "fi", "①": "1", "½": "1⁄2", "\u00a0": " ", "\u3000": " ", "Ａ": "A", "ｶﾞ": "ガ", "e\u0301": "é", "\u200b": ""}
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=scheme != "never")
    tokens = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=400, unk_token="<unk>", special_tokens=tokens, show_progress=False)
    trained(tokenizer, trainer, encoding="latin-1")
    framed(tokenizer, "<s>", "</s>")
    file = json.loads(tokenizer.to_str())
    file["normalizer"]["normalizers"].insert(0, {"type": "Precompiled", "precompiled_charsmap": charsmap(pairs)})
    # Characters that training saw too seldom are unknown, too.
    file["model"]["vocab"] = [entry for entry in file["model"]["vocab"] if entry[0] not in ("z", "ü", "東")]
    return Tokenizer.from_str(json.dumps(file))


def words() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"), pre_tokenizers.Digits(False)]
    )
    trained(tokenizer, trainers.WordLevelTrainer(vocab_size=300, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    return framed(tokenizer, "[CLS]", "[SEP]", second_type=1)


TOKENIZERS = {
    "bert_uncased": lambda: bert(True),
    "bert_cased": lambda: bert(False),
    "bert_accents": lambda: bert(True, accents=False),
    "roberta": lambda: byte_level(True),
    "gpt2": lambda: byte_level(False),
    "split_bytes": split_bytes,
    "sentencepiece_bpe": sentencepiece_bpe,
    "word_bpe": word_bpe,
    "unigram_always": lambda: unigram("always"),
    "unigram_first": lambda: unigram("first"),
    "unigram_whole": lambda: unigram("never"),
    "words": words,
}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in TOKENIZERS.items():
        tokenizer = make()
        tokenizer.no_padding()
        (FOLDER / f"{name}.json").write_text(tokenizer.to_str(), encoding="utf-8")
        tokenizer.no_truncation()
        asked = texts(2, 160)
        encoded = [tokenizer.encode(text) for text in asked]
        golden = {"texts": asked, "ids": [one.ids for one in encoded], "types": [one.type_ids for one in encoded]}
        (FOLDER / f"{name}.golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")
        print(name, tokenizer.get_vocab_size(), sum(len(one.ids) for one in encoded))


if __name__ == "__main__":
    main()
