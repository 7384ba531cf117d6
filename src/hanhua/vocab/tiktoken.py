"""A file of tiktoken ranks (Llama 3's tokenizer.model, qwen.tiktoken) as an exact tokenizer.json.

A rank file holds tokens and their order, neither merges nor the split of text into words. tiktoken
joins the two neighbours whose concatenation has the lowest rank; so every way to cut a token into
two others is a merge, in the order of the tokens' ranks. The split and the special tokens behind
the ranks are known for the families below by their number of ranks:
https://github.com/meta-llama/llama-models (llama3/tokenizer.py) and
https://github.com/QwenLM/Qwen (tokenization_qwen.py).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from hanhua.core.errors import ModelError

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}|"
    r" ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class RankFamily:
    """What a rank file doesn't say.

    Args:
        name: for messages.
        words: regular expression of the pieces that text is cut into first.
        specials: tokens behind the ranks, in the order of their ids.
        bos: put before every text, or "".
        eos: ends a document.
        nfc: whether text is normalised to NFC first.
        looks_up: whether the family's tokenizer.json looks words up before it merges. Ranks do;
            for Qwen merges alone give the same, and readers such as llama.cpp expect those.
    """

    name: str
    words: str
    specials: tuple[str, ...]
    bos: str
    eos: str
    nfc: bool = False
    looks_up: bool = True


def _llama3() -> RankFamily:
    fixed = [
        "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
        "<|reserved_special_token_1|>", "<|reserved_special_token_2|>",
        "<|reserved_special_token_3|>", "<|start_header_id|>", "<|end_header_id|>",
        "<|reserved_special_token_4|>", "<|eot_id|>",
    ]  # fmt: skip
    fixed += [f"<|reserved_special_token_{i}|>" for i in range(5, 251)]
    words = _WORDS.format(digits="{1,3}")
    return RankFamily("Llama 3", words, tuple(fixed), fixed[0], fixed[1])


def _qwen() -> RankFamily:
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    specials += [f"<|extra_{i}|>" for i in range(205)]
    return RankFamily(
        "Qwen", _WORDS.format(digits=""), tuple(specials), "", specials[0], nfc=True, looks_up=False
    )


_FAMILIES = {128_000: _llama3, 151_643: _qwen}


def read_ranks(path: Path) -> list[bytes]:
    """The tokens of a rank file in the order of their ranks.

    Raises:
        ModelError: when a line is no rank line or a rank is missing.
    """
    found: dict[int, bytes] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            found[int(rank)] = base64.b64decode(token, validate=True)
        except (ValueError, binascii.Error) as error:
            raise ModelError(
                "This line of a rank file is not a token and its rank.", where=f"{path}:{number}",
                found=line[:60].decode("utf-8", "replace"),
                fix="fetch the file again; where it is a text, put --text before it",
            ) from error  # fmt: skip
    if sorted(found) != list(range(len(found))):
        raise ModelError(
            "Ranks are missing in this rank file.", where=path, found=f"{len(found)} ranks, "
            f"highest {max(found, default=-1)}", fix="fetch the file again",
        )  # fmt: skip
    return [found[rank] for rank in range(len(found))]


def from_ranks(path: Path) -> tuple[Tokenizer, dict[str, str]]:
    """The tokenizer of a rank file, and its special tokens by name.

    Raises:
        ModelError: for a family whose split and special tokens are not known.
    """
    from hanhua.vocab.family import byte_letters

    ranks = read_ranks(path)
    if len(ranks) not in _FAMILIES:
        raise ModelError(
            "Nobody has said how this rank file cuts text into words.", where=path,
            found=f"{len(ranks)} ranks; known are {sorted(_FAMILIES)}",
            fix="give the folder of the same model that has a tokenizer.json",
        )  # fmt: skip
    family = _FAMILIES[len(ranks)]()
    letters = byte_letters()
    written = ["".join(letters[byte] for byte in token) for token in ranks]
    tokenizer = Tokenizer(
        models.BPE({token: i for i, token in enumerate(written)}, _merges(written),
                   ignore_merges=family.looks_up)
    )  # fmt: skip
    if family.nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(family.words), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in family.specials]
    )
    if family.bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{family.bos} $A", pair=f"{family.bos} $A {family.bos}:1 $B:1",
            special_tokens=[(family.bos, len(ranks) + family.specials.index(family.bos))],
        )  # fmt: skip
    named = {"eos_token": family.eos} | ({"bos_token": family.bos} if family.bos else {})
    return tokenizer, named


def _merges(tokens: Sequence[str]) -> list[tuple[str, str]]:
    """Every cut of each token into two others, tokens in the order of their ranks.

    Among the cuts of one token the ranks of its halves decide; tiktoken would take the leftmost
    place in the text, which comes to the same but for overlaps such as aaa.
    """
    rank = {token: i for i, token in enumerate(tokens)}
    found = []
    for token in tokens:
        cuts = [
            (rank[token[:i]], rank[token[i:]], token[:i], token[i:])
            for i in range(1, len(token))
            if token[:i] in rank and token[i:] in rank
        ]
        found += [(left, right) for _, _, left, right in sorted(cuts)]
    return found
