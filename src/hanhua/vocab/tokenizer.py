"""One exact tokenizer.json for every base, so that each later stage meets one kind of tokenizer.

A base with a SentencePiece BPE model (LLaMA 1 and 2, Mistral) is converted from that model: the
class that transformers 5 would choose for it drops leading spaces. A base that ships only a
tokenizer.json (GPT-2, Llama 3, Qwen) is used as it is.

The conversion differs from the base in one deliberate point: ``remove_extra_whitespaces`` is
switched off in both files, because training text, code and chats must decode to what was encoded.
Text without doubled or outer spaces keeps its ids.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentencepiece import sentencepiece_model_pb2 as spm
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from hanhua.core.errors import ModelError
from hanhua.core.files import read_json, write_json, write_text
from hanhua.vocab.convert import BYTE, CONTROL, USER_DEFINED, convert

SPECIALS = ("bos_token", "eos_token", "unk_token", "pad_token")
_NO_LIMIT = 1 << 31  # some configs say int(1e30) where no limit is meant


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """A tokenizer as it will be saved.

    Args:
        backend: the tokenizer itself.
        proto: the same as a SentencePiece model, where the base had one.
        settings: special tokens and limits for tokenizer_config.json.
        chat_template: Jinja, where the base had one.
    """

    backend: Tokenizer
    proto: spm.ModelProto | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    chat_template: str | None = None

    def fast(self) -> PreTrainedTokenizerFast:
        """As transformers' class, with nothing rebuilt or guessed."""
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=self.backend, **self.settings)
        if self.chat_template is not None:
            tokenizer.chat_template = self.chat_template
        return tokenizer

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, tokenizer_config.json and, where there is one, tokenizer.model."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "tokenizer.json", self.backend.to_str(pretty=True) + "\n")
        config = {"tokenizer_class": "PreTrainedTokenizerFast", **self.settings}
        write_json(folder / "tokenizer_config.json", config)
        if self.proto is not None:
            data = self.proto.SerializeToString(deterministic=True)
            (folder / "tokenizer.model").write_bytes(data)
        if self.chat_template is not None:
            write_text(folder / "chat_template.jinja", self.chat_template)


def read_tokenizer(path: Path) -> TokenizerFiles:
    """Read the tokenizer of a model folder, or a single tokenizer.model or tokenizer.json.

    Raises:
        ModelError: where there is none, it doesn't parse, or its kind can't be carried exactly.
    """
    folder = path if path.is_dir() else path.parent
    settings = _settings(folder)
    template = folder / "chat_template.jinja"
    chat = template.read_text(encoding="utf-8") if template.exists() else None
    chat = chat or settings.pop("chat_template", None)
    settings.pop("chat_template", None)
    model_file = path / "tokenizer.model" if path.is_dir() else path
    json_file = path / "tokenizer.json" if path.is_dir() else path
    if model_file.suffix == ".model" and model_file.exists():
        proto = _read_proto(model_file)
        if proto is not None:
            add_bos = settings.pop("add_bos_token", _adds_bos(folder))
            added = _added_tokens(folder)
            _append_added(proto, added, model_file)
            beside = {content for content, special in added.values() if not special}
            backend = convert(proto, add_bos, beside)
            return TokenizerFiles(backend, proto, _named(settings, proto), chat)
    settings.pop("add_bos_token", None)
    if json_file.suffix == ".json" and json_file.exists():
        return TokenizerFiles(_read_json_tokenizer(json_file), None, settings, chat)
    for ranks in [path] if path.is_file() else [model_file, *sorted(path.glob("*.tiktoken"))]:
        if ranks.exists():
            from hanhua.vocab.tiktoken import from_ranks  # it needs this module's neighbours

            backend, named = from_ranks(ranks)
            return TokenizerFiles(backend, None, {**named, **settings}, chat)
    raise ModelError(
        "No tokenizer here.", where=path, found=_listing(folder),
        fix="give a folder with tokenizer.model (SentencePiece BPE) or tokenizer.json",
    )  # fmt: skip


def _adds_bos(folder: Path) -> bool:
    """What a folder that doesn't say does: a tokenizer.json taken as it is says it by itself."""
    config, own = folder / "tokenizer_config.json", folder / "tokenizer.json"
    if not (config.exists() and own.exists()):
        return True
    as_it_is = read_json(config).get("tokenizer_class") == "PreTrainedTokenizerFast"
    return not as_it_is or read_json(own).get("post_processor") is not None


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder"
    return ", ".join(sorted(p.name for p in folder.iterdir())[:12]) or "an empty folder"


def _read_json_tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(
            "This tokenizer.json does not load.", where=path, found=error,
            fix="fetch the file again; it must be one that the tokenizers library wrote",
        ) from error  # fmt: skip


def _read_proto(path: Path) -> spm.ModelProto | None:
    """The SentencePiece model, or None for a tiktoken file of the same name (Llama 3)."""
    data = path.read_bytes()
    if re.match(rb"[A-Za-z0-9+/=]+ \d+\r?\n", data[:80]):
        return None
    proto = spm.ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError moves between versions
        raise _broken(path, error) from error
    if not proto.pieces:
        raise _broken(path, "no pieces")
    _check_exact(proto, path)
    proto.normalizer_spec.remove_extra_whitespaces = False
    return proto


def _broken(path: Path, found: object) -> ModelError:
    return ModelError(
        "This tokenizer.model is not a SentencePiece model.", where=path, found=found,
        fix="fetch the file again (a Git LFS pointer is not the file)",
    )  # fmt: skip


def _check_exact(proto: spm.ModelProto, path: Path) -> None:
    """Refuse kinds that no tokenizer.json can follow id by id."""
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    faults = {
        "model type is not BPE": trainer.model_type != spm.TrainerSpec.BPE,
        "no byte fallback, so Chinese text would be lost": not any(
            p.type == BYTE for p in proto.pieces
        ),
        "spaces are not written as ▁": not normalizer.escape_whitespaces,
        "spaces go behind words": trainer.treat_whitespace_as_suffix,
    }
    found = [name for name, wrong in faults.items() if wrong]
    if found:
        raise ModelError(
            "This SentencePiece model can't be carried into tokenizer.json exactly.",
            where=path, found="; ".join(found),
            fix="choose a base with a BPE model with byte fallback (LLaMA, Mistral) or one with a "
            "byte-level tokenizer.json (Llama 3, Qwen, GPT-2)",
        )  # fmt: skip


def _settings(folder: Path) -> dict[str, Any]:
    """What to keep of tokenizer_config.json: names of special tokens, limits, the template."""
    found: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).exists():
            try:
                found |= read_json(folder / name)
            except (ValueError, OSError) as error:
                raise ModelError(
                    "This file is not JSON.", where=folder / name, found=error,
                    fix="fetch the file again",
                ) from error  # fmt: skip
    kept: dict[str, Any] = {key: _content(found[key]) for key in SPECIALS if found.get(key)}
    if 0 < int(found.get("model_max_length") or 0) < _NO_LIMIT:
        kept["model_max_length"] = int(found["model_max_length"])
    for key in ("add_bos_token", "chat_template"):
        if found.get(key) is not None:
            kept[key] = found[key]
    kept["clean_up_tokenization_spaces"] = False
    return kept


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _named(settings: dict[str, Any], proto: spm.ModelProto) -> dict[str, Any]:
    """Fill in <s>, </s> and <unk> from the model where the config doesn't name them."""
    trainer = proto.trainer_spec
    pieces = proto.pieces
    for name, index in (
        ("bos_token", trainer.bos_id),
        ("eos_token", trainer.eos_id),
        ("unk_token", trainer.unk_id),
    ):
        if name not in settings and 0 <= index < len(pieces):
            settings[name] = pieces[index].piece
    return settings


def _added_tokens(folder: Path) -> dict[int, tuple[str, bool]]:
    """Tokens beside the vocabulary: id -> (content, special)."""
    found: dict[int, tuple[str, bool]] = {}
    if (folder / "added_tokens.json").exists():
        for content, index in read_json(folder / "added_tokens.json").items():
            found[int(index)] = (content, True)
    if (folder / "tokenizer_config.json").exists():
        config = read_json(folder / "tokenizer_config.json")
        for key, entry in (config.get("added_tokens_decoder") or {}).items():
            found[int(key)] = (entry["content"], bool(entry.get("special", True)))
    if (folder / "tokenizer.json").exists():
        for entry in json.loads((folder / "tokenizer.json").read_text("utf-8"))["added_tokens"]:
            found[int(entry["id"])] = (entry["content"], bool(entry["special"]))
    return found


def _append_added(proto: spm.ModelProto, added: dict[int, tuple[str, bool]], where: Path) -> None:
    """Give tokens that lie behind the vocabulary a place in it, at the ids that they have."""
    floor = min(piece.score for piece in proto.pieces)
    for index in sorted(i for i in added if i >= len(proto.pieces)):
        content, special = added[index]
        if index != len(proto.pieces):
            raise ModelError(
                "The added tokens leave a gap behind the vocabulary.", where=where,
                found=f"{content!r} has id {index}, the vocabulary ends at {len(proto.pieces) - 1}",
                fix="mend added_tokens.json / tokenizer_config.json so that ids follow on",
            )  # fmt: skip
        kind = CONTROL if special else USER_DEFINED
        proto.pieces.add(piece=content, score=floor, type=kind)
