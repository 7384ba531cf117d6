"""A tokenizer as GGUF metadata, so that llama.cpp gives the same ids as tokenizer.json.

For SentencePiece, llama.cpp joins the neighbours whose piece has the highest score, leftmost first,
as SentencePiece does; pieces and scores are all it needs. Byte-level text it cuts first, in a way
that it must be told by name (:mod:`hanhua.export.gguf_split`), and then merges by rank.

Tokens that a text may spell (``<s>``, added tokens) are known by their kind: llama.cpp looks for
control tokens only where it is asked to, for user-defined ones always.

Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; what llama.cpp makes of them:
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sentencepiece import sentencepiece_model_pb2 as spm
from tokenizers import Tokenizer

from hanhua.core.errors import DependencyError, ModelError
from hanhua.core.files import storage_errors
from hanhua.export.gguf_split import pre_tokenizer
from hanhua.vocab.convert import CONTROL, NORMAL, UNKNOWN, USER_DEFINED
from hanhua.vocab.tokenizer import TokenizerFiles, read_tokenizer

UNUSED = 5
PAD_SCORE = -10_000.0
NAMED = ("bos", "eos", "unk", "pad")


class Row(NamedTuple):
    """One id: how llama.cpp spells it, what kind it is, and its score (SentencePiece)."""

    text: str
    kind: int
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class VocabMetadata:
    """What a GGUF file says of a tokenizer.

    Args:
        model: "llama" (SentencePiece) or "gpt2" (byte-level).
        pre: llama.cpp's name of the split into words.
        rows: one for each row of the embedding.
        merges: "left right", best first; empty for SentencePiece.
        special: bos, eos, unk, pad -> id, where there are such.
        add_bos: whether every text begins with BOS.
        add_eos: whether every text ends with EOS.
        add_space_prefix: whether a space is put in front (SentencePiece).
        chat_template: Jinja.
    """

    model: str
    pre: str
    rows: Sequence[Row]
    merges: Sequence[str]
    special: Mapping[str, int]
    add_bos: bool
    add_eos: bool
    add_space_prefix: bool | None
    chat_template: str | None


def write_vocab(folder: Path, out: Path, n_rows: int | None = None) -> Path:
    """Write a GGUF file that holds only a tokenizer (llama.cpp loads it with ``vocab_only``).

    Args:
        folder: what ``TokenizerFiles.save`` wrote, or a model folder.
        out: the file to make.
        n_rows: rows of the model's embedding, where it has more than the tokenizer has ids.

    Returns:
        ``out``.

    Raises:
        DependencyError: without the ``gguf`` extra.
        ModelError: when llama.cpp would not give the same ids; nothing is written then.
        StorageError: no room or no right to write.
    """
    if importlib.util.find_spec("gguf") is None:
        raise DependencyError(
            "GGUF files need a package that is not installed.", found="no gguf",
            fix='pip install "hanhua[gguf]"',
        )  # fmt: skip
    import gguf

    vocab = vocab_metadata(read_tokenizer(folder), n_rows, folder)
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        writer = gguf.GGUFWriter(aside, "llama")
        add_vocab(writer, vocab)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, out)
    return out


def add_vocab(writer: Any, vocab: VocabMetadata) -> None:
    """Give a ``gguf.GGUFWriter`` the tokenizer's keys."""
    writer.add_vocab_size(len(vocab.rows))
    writer.add_tokenizer_model(vocab.model)
    writer.add_tokenizer_pre(vocab.pre)
    writer.add_token_list([row.text for row in vocab.rows])
    writer.add_token_types([row.kind for row in vocab.rows])
    if vocab.merges:
        writer.add_token_merges(vocab.merges)
    else:
        writer.add_token_scores([row.score for row in vocab.rows])
    for name, index in vocab.special.items():
        getattr(writer, f"add_{name}_token_id")(index)
    writer.add_add_bos_token(vocab.add_bos)
    writer.add_add_eos_token(vocab.add_eos)
    if vocab.add_space_prefix is not None:
        writer.add_add_space_prefix(vocab.add_space_prefix)
    if vocab.chat_template is not None:
        writer.add_chat_template(vocab.chat_template)


def vocab_metadata(
    files: TokenizerFiles, n_rows: int | None = None, where: Path | None = None
) -> VocabMetadata:
    """A tokenizer as llama.cpp needs it.

    Args:
        files: the tokenizer.
        n_rows: rows of the model's embedding; those behind the ids become ``[PADn]``, unused.
        where: for messages.

    Raises:
        ModelError: when llama.cpp would not give the same ids, or the rows are too few.
    """
    tokenizer = files.fast()
    backend, proto = tokenizer.backend_tokenizer, files.proto
    raw = json.loads(backend.to_str())
    if proto is not None:
        _check_exact(proto, where)
    before, behind = _ends(backend, where)
    special = {n: i for n in NAMED if (i := getattr(tokenizer, f"{n}_token_id")) is not None}
    special |= {name: ids[0] for name, ids in (("bos", before), ("eos", behind)) if ids}
    if "eos" not in special:
        raise ModelError(
            "This tokenizer names no token that ends a text, and llama.cpp would take another.",
            where=where, found="no eos_token", fix="name it in tokenizer_config.json",
        )  # fmt: skip
    return VocabMetadata(
        model="gpt2" if proto is None else "llama",
        pre=pre_tokenizer(raw, where) if proto is None else "default",
        rows=_rows(backend, proto, n_rows, where),
        merges=[" ".join(merge) for merge in raw["model"]["merges"]] if proto is None else [],
        special={"bos": special["eos"], **special},  # llama.cpp would make up a BOS
        add_bos=bool(before),
        add_eos=bool(behind),
        add_space_prefix=None if proto is None else proto.normalizer_spec.add_dummy_prefix,
        chat_template=files.chat_template,
    )


def _check_exact(proto: spm.ModelProto, where: Path | None) -> None:
    """Refuse what llama.cpp leaves out of SentencePiece.

    It rewrites no text for this kind of model, and puts a space behind what it cuts out first.

    Raises:
        ModelError: naming what would be left out.
    """
    faults = {
        f"rewrites text ({proto.normalizer_spec.name})": proto.normalizer_spec.precompiled_charsmap,
        "cuts out symbols that its user defined": proto.trainer_spec.user_defined_symbols,
    }
    found = [name for name, wrong in faults.items() if wrong]
    if found:
        raise ModelError(
            "llama.cpp would not give this SentencePiece model's ids.", where=where,
            found="; ".join(found), fix="serve this model from its Hugging Face folder",
        )  # fmt: skip


def _ends(backend: Tokenizer, where: Path | None) -> tuple[list[int], list[int]]:
    """What is put before and behind every text: BOS and EOS, or nothing.

    Raises:
        ModelError: for more than one token on a side; llama.cpp has no way to say that.
    """
    plain = backend.encode("a", add_special_tokens=False).ids
    full = backend.encode("a").ids
    for start in range(len(full) - len(plain) + 1):
        before, behind = full[:start], full[start + len(plain) :]
        if full[start : start + len(plain)] == plain and len(before) < 2 and len(behind) < 2:
            return before, behind
    raise ModelError(
        "This tokenizer puts more around a text than llama.cpp can say.", where=where,
        found=f"{plain} becomes {full}",
        fix="leave only a BOS and an EOS in the post_processor of tokenizer.json",
    )  # fmt: skip


def _rows(
    backend: Tokenizer, proto: spm.ModelProto | None, n_rows: int | None, where: Path | None
) -> list[Row]:
    """Every id in order; added tokens as they stand in text, gaps and rows behind as padding."""
    if proto is None:
        found = {i: Row(t, NORMAL) for t, i in backend.get_vocab(with_added_tokens=False).items()}
    else:
        found = {i: Row(p.piece, p.type, p.score) for i, p in enumerate(proto.pieces)}
    for index, token in backend.get_added_tokens_decoder().items():
        known = found.get(index, Row(token.content, CONTROL))
        kind = CONTROL if token.special else USER_DEFINED
        kind = UNKNOWN if known.kind == UNKNOWN else kind
        found[index] = Row(token.content, kind, known.score)
    size = max(found) + 1
    if n_rows is not None and n_rows < size:
        raise ModelError(
            "The embedding has fewer rows than the tokenizer has ids.", where=where,
            found=f"{n_rows} rows, {size} ids", fix="give the tokenizer of this model",
        )  # fmt: skip
    return [found.get(i, Row(f"[PAD{i}]", UNUSED, PAD_SCORE)) for i in range(n_rows or size)]
