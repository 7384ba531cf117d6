"""A Hugging Face folder that others load, and the proof that it is the same model.

Written with the libraries' own writers and then read back the way a stranger reads it
(``AutoModelForCausalLM``, ``AutoTokenizer``, ``sentencepiece``): token ids, rendered chat and
greedy answers must be those of the model that went in, or nothing is exported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, DynamicCache

from hanhua.chat.encode import template_of
from hanhua.core.errors import ArtifactError
from hanhua.core.files import read_json, storage_errors, write_json
from hanhua.export.config import ExportConfig
from hanhua.model.cache import cached
from hanhua.model.load import load_model, load_tokenizer, quiet_transformers
from hanhua.vocab.tokenizer import read_tokenizer

HARD_TEXTS = (
    "Hello, world! It's 3.14159 — isn't it?",
    "你好，世界！今天天气怎么样？",
    "我用Python写了一个RAG系统，latency只有20ms。",
    "  two  spaces,\ttab\nnew line \n\n",
    "全角ＡＢＣ１２３，半角abc123；「引号」『双引』《书名》",
    "𠮷野家的龘靐齉爨，㐂𪚥𠔻",
    "👩‍👩‍👧‍👦🇨🇳😀 emoji mixed 中文",
    "<s>[INST] Q: A: </s> <|im_end|> <unk>",
    "def f(x):\n    return x  # 注释\n",
    "",
)
"""Lines on which tokenizers tend to part ways."""

DECOMPOSED = "cafe\u0301 か\u3099"
"""Letters in parts. AutoTokenizer composes them for some architectures, whatever the folder says,
and llama.cpp never does, so a GGUF file is not held to this line."""

PIECES_PER_LINE = 100
GREEDY_TOKENS = 24
GREEDY_TEXTS = ("Once upon a time", "从前有一个", "The capital of", "你好")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a model folder does, as far as a user can see."""

    ids: dict[str, list[int]]
    chat: str | None
    greedy: list[list[int]]


def export_hf(model_dir: Path, out: Path, config: ExportConfig) -> dict[str, int]:
    """Write a model folder for others and compare it with its source.

    Args:
        model_dir: the model folder to export.
        out: the folder to make.
        config: the recipe's ``export`` section.

    Returns:
        Counts for the record: weight files, bytes, parameters, lines and tokens compared.

    Raises:
        ArtifactError: when the folder does not behave as its source.
    """
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(model_dir)
    dtype = getattr(torch, stored_dtype(model_dir))
    model: Any = load_model(model_dir, dtype=dtype)
    before = _behaviour(model, tokenizer)
    model.generation_config = generation_config(model, tokenizer, config)
    params = sum(p.numel() for p in model.parameters())
    with quiet_transformers(), storage_errors(out):
        model.save_pretrained(out, max_shard_size=config.shard_bytes)
    del model
    read_tokenizer(model_dir).save(out)
    _lean_config(out / "config.json")
    _compare(before, _reload(out, dtype), out)
    for path in out.iterdir():
        path.chmod(0o644)  # save_pretrained leaves weights readable by their owner only
    return {
        "parameters": params,
        "weight_files": len(list(out.glob("*.safetensors"))),
        "bytes": sum(path.stat().st_size for path in out.iterdir()),
        "lines_compared": len(before.ids),
        "greedy_tokens_compared": sum(map(len, before.greedy)),
    }


def generation_config(model: Any, tokenizer: Any, config: ExportConfig) -> Any:
    """Stop tokens and sampling defaults, written so that servers honour a temperature.

    Some servers ignore a request's temperature unless do_sample is set here.
    """
    from transformers import GenerationConfig

    stops = {tokenizer.eos_token_id}
    template = template_of(tokenizer) if tokenizer.chat_template else None
    stops.update(tokenizer.convert_tokens_to_ids(list(template.stop)) if template else ())
    for stated in (model.generation_config.eos_token_id, model.config.eos_token_id):
        stops.update(stated if isinstance(stated, list) else [stated])
    ids = sorted(id_ for id_ in stops if id_ is not None)
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ids[0] if len(ids) == 1 else ids or None,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=0,  # transformers would otherwise cut to 50, which no one asked for
    )


def stored_dtype(folder: Path) -> str:
    """The type that a folder's config states, such as "float16"."""
    dtype = AutoConfig.from_pretrained(folder, trust_remote_code=False).dtype
    return str(dtype or "float32").removeprefix("torch.")


def _lean_config(path: Path) -> None:
    """Leave out where the model lay on this machine."""
    data = read_json(path)
    data.pop("_name_or_path", None)
    write_json(path, data)


def _behaviour(model: Any, tokenizer: Any) -> Behaviour:
    chat = None
    if tokenizer.chat_template:
        messages = [
            {"role": "user", "content": "你好 Hello"},
            {"role": "assistant", "content": "好"},
            {"role": "user", "content": "再见"},
        ]
        chat = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompts = [tokenizer(text)["input_ids"] for text in GREEDY_TEXTS]
    room = int(model.config.max_position_embeddings)
    return Behaviour(
        ids={
            text: tokenizer(text)["input_ids"] for text in (*compared_texts(tokenizer), DECOMPOSED)
        },
        chat=chat,
        greedy=[greedy_tokens(model, ids, min(GREEDY_TOKENS, room - len(ids))) for ids in prompts],
    )


def compared_texts(tokenizer: Any) -> list[str]:
    """The hard lines, and every piece of the vocabulary with others around it."""
    added = set(tokenizer.get_added_vocab())
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    pieces = [tokenizer.decode([id_]) for piece, id_ in vocabulary if piece not in added]
    pieces = [piece for piece in pieces if "\ufffd" not in piece]
    starts = range(0, len(pieces), PIECES_PER_LINE)
    return [*HARD_TEXTS, *(" ".join(pieces[i : i + PIECES_PER_LINE]) for i in starts)]


def greedy_tokens(model: Any, ids: Sequence[int], count: int) -> list[int]:
    """The model's most probable continuation, end tokens not minded."""
    found: list[int] = []
    cache, step = DynamicCache(), torch.tensor([list(ids)])
    with torch.inference_mode():
        for _ in range(count):
            out = model(input_ids=step, logits_to_keep=1, **cached(model, cache))
            step = out.logits[:, -1].argmax(-1, keepdim=True)
            found.append(int(step))
    return found


def _reload(folder: Path, dtype: torch.dtype) -> Behaviour:
    """What a stranger with only transformers gets from the folder."""
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, trust_remote_code=False)
    return _behaviour(model.eval(), tokenizer)


def _compare(before: Behaviour, after: Behaviour, out: Path) -> None:
    for text, ids in before.ids.items():
        if ids != after.ids.get(text):
            raise _differs(f"token ids of {text[:80]!r}", ids, after.ids.get(text), out)
    if before.chat != after.chat:
        raise _differs("rendered chat", before.chat, after.chat, out)
    for source, exported in zip(before.greedy, after.greedy, strict=True):
        if source != exported:
            raise _differs("greedy tokens", source, exported, out)
    if (out / "tokenizer.model").exists():
        _compare_sentencepiece(before, out)


def _compare_sentencepiece(before: Behaviour, out: Path) -> None:
    """tokenizer.model, which GGUF converters read, must say what tokenizer.json says.

    Lines with the strings of special tokens are left to tokenizer.json: sentencepiece has none.
    """
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(str(out / "tokenizer.model"))
    for text, ids in before.ids.items():
        found = processor.encode(text)
        body = ids[1:] if ids and ids[0] == processor.bos_id() else ids
        if "<s>" not in text and text and found != body:
            raise _differs(f"ids of tokenizer.model for {text[:80]!r}", body, found, out)


def _differs(what: str, source: object, exported: object, out: Path) -> ArtifactError:
    return ArtifactError(
        f"The exported folder is not the same model: its {what} differ.", where=out.name,
        found=f"{str(source)[:150]} went in, {str(exported)[:150]} came out",
        fix="report this as a bug; nothing was exported",
    )  # fmt: skip


def describe(folder: Path, counts: Mapping[str, int]) -> dict[str, Any]:
    """An exported folder's model and template, as arguments of the model card."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    tokenizer = load_tokenizer(folder)
    template = template_of(tokenizer) if tokenizer.chat_template else None
    name = "its own" if tokenizer.chat_template else None
    return {
        "model": {
            "architecture": config.model_type,
            "parameters": f"{counts['parameters']:,}",
            "tokens in the vocabulary": f"{len(tokenizer):,}",
            "context": f"{config.max_position_embeddings:,} tokens",
            "stored as": str(config.dtype).removeprefix("torch."),
        },
        "template": template.name if template else name,
    }
