"""llama.cpp's name for the way a byte-level tokenizer cuts text into words.

llama.cpp knows such cuts by name. Its own converter finds the name by a hash of the ids of a test
text with Chinese in it: new pieces that occur there change the hash, and the tokenizer is "not
recognised". Here the name is found from what it stands for, the split that tokenizer.json states.

A name also fixes whether a word that is a token is taken whole (``ignore_merges``). Where the
tokenizer says otherwise and a word would come out differently, there is no name for it. llama.cpp
knows no NFC: text that isn't normalised keeps its ids only if it is normalised before.

Names and what they stand for: https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders

from hanhua.core.errors import ModelError

_GPT2, _BYTES = "GPT-2's words, as bytes", "as bytes"
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?{letter}+|\p{{N}}{digits}|"
    r" ?[^\s{letters}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LETTER, _MARKED = r"\p{L}", r"\p{L}\p{M}"

PRE_TOKENIZERS: Mapping[tuple[str, ...], Mapping[bool, str]] = {
    (_GPT2,): {False: "gpt-2"},
    (r"\p{N}", _GPT2): {False: "smollm"},
    (_WORDS.format(letter=_LETTER, letters=_LETTER, digits="{1,3}"), _BYTES): {
        True: "llama-bpe", False: "smaug-bpe",
    },
    (_WORDS.format(letter=_LETTER, letters=_LETTER, digits=""), _BYTES): {False: "qwen2"},
    (_WORDS.format(letter=f"[{_MARKED}]", letters=_MARKED, digits=""), _BYTES): {False: "qwen35"},
}  # fmt: skip
"""The split, step by step -> whether words that are tokens are taken whole -> llama.cpp's name.

GPT-2 and Pythia; SmolLM and StarCoder; Llama 3; Qwen 1 to 3; Qwen 3.5. With each of them llama.cpp
and tokenizers gave the same ids on every line tried (benchmarks/gguf_ids.py). Not here is what
llama.cpp only comes near to: its "gpt-4o" cut 31 of 29,620 lines otherwise.
"""


def pre_tokenizer(raw: Mapping[str, Any], where: Path | None = None) -> str:
    """llama.cpp's name for the way that a byte-level tokenizer.json cuts text into words.

    Raises:
        ModelError: when there is none, or it would merge some words otherwise.
    """
    model, normalizer = raw["model"], raw["normalizer"]
    steps = tuple(_steps(raw["pre_tokenizer"]))
    names = PRE_TOKENIZERS.get(steps, {}) if model["type"] == "BPE" else {}
    if not names or (normalizer and normalizer["type"] != "NFC"):
        raise ModelError(
            "llama.cpp has no name that we know for the way this tokenizer cuts text into words.",
            where=where,
            found=f"{model['type']}, normalizer {normalizer and normalizer['type']}, split {steps}",
            fix="use a base that cuts as one of these does: "
            f"{', '.join(name for known in PRE_TOKENIZERS.values() for name in known.values())}; "
            "or add its split to PRE_TOKENIZERS in hanhua/export/gguf_split.py",
        )  # fmt: skip
    whole = bool(model.get("ignore_merges"))
    if whole in names:
        return names[whole]
    differ = unmerged_words(raw)
    if differ:
        raise ModelError(
            "llama.cpp would cut some words of this tokenizer otherwise.", where=where,
            found=f"ignore_merges is {str(whole).lower()}, which {names[not whole]} can't say; "
            f"{len(differ)} words: {', '.join(map(repr, differ[:8]))}",
            fix=f"write ignore_merges {str(not whole).lower()} into the base's tokenizer.json, "
            "and extend that",
        )  # fmt: skip
    return names[not whole]


def _steps(split: Mapping[str, Any] | None) -> list[str]:
    """A pre-tokenizer as expressions, one a step; what has no such form, as JSON."""
    if split is None:
        return []
    if split["type"] == "Sequence":
        return [step for inner in split["pretokenizers"] for step in _steps(inner)]
    if split["type"] == "ByteLevel" and not split["add_prefix_space"]:
        return [_GPT2 if split["use_regex"] else _BYTES]
    if split["type"] == "Digits" and split["individual_digits"]:
        return [r"\p{N}"]
    if split["type"] == "Split" and "Regex" in split["pattern"]:
        if (split["behavior"], split["invert"]) in (("Isolated", False), ("Removed", True)):
            return [split["pattern"]["Regex"]]
    return [json.dumps(split, ensure_ascii=False)]


def unmerged_words(raw: Mapping[str, Any]) -> list[str]:
    """Tokens that are whole words but that merging alone doesn't reach: ``ignore_merges`` decides.

    Args:
        raw: tokenizer.json.
    """
    merging = Tokenizer.from_str(json.dumps(raw))
    merging.model.ignore_merges = False
    decode, cut = decoders.ByteLevel().decode, merging.pre_tokenizer.pre_tokenize_str
    added = {token["content"] for token in raw["added_tokens"]}
    spelt = {
        token: decode([token])
        for token in raw["model"]["vocab"].keys() - added
        if [part.value for part in merging.model.tokenize(token)] != [token]
    }
    return sorted(text for token, text in spelt.items() if [w for w, _ in cut(text)] == [token])
