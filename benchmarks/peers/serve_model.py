"""The model that all servers serve, and what they are asked."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import hanhua.demo
from hanhua.chat.template import get_template
from hanhua.model.load import quiet_transformers
from hanhua.vocab.tokenizer import read_tokenizer

DEMO = Path(hanhua.demo.__path__[0]) / "data"
SHAPE_15M = {
    "hidden_size": 288, "intermediate_size": 768, "num_hidden_layers": 6,
    "num_attention_heads": 6, "max_position_embeddings": 1024,
}  # fmt: skip
SHAPES = {
    "15m": SHAPE_15M,
    "1.1b": {
        "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
        "num_attention_heads": 32, "num_key_value_heads": 4, "max_position_embeddings": 2048,
    },
}  # fmt: skip
SMALL = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 1024,
}  # fmt: skip
WIDTHS = (8, 30, 90, 200)
"""Characters of the four kinds of prompts."""


def make_model(folder: Path, tokenizer: Path, shape: dict[str, int]) -> None:
    """A random LLaMA that chats, never ends an answer and says something else to everyone.

    Its layers outweigh its embedding, so what comes next depends on all that came before. The
    rows of tokens that are no text, of single bytes and of bare spaces are zero: their logit is
    zero, and with thousands of others one is always greater. So every answer is as long as
    asked in every server, without a word in the request, and every token of it has text.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    files = replace(read_tokenizer(tokenizer), chat_template=get_template("hanhua").jinja)
    fast = files.fast()
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(fast), initializer_range=0.1, tie_word_embeddings=True,
        bos_token_id=fast.bos_token_id, eos_token_id=fast.eos_token_id, **shape,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    pieces = fast.convert_ids_to_tokens(range(len(fast)))
    mute = [i for i, piece in enumerate(pieces) if _is_mute(piece) or i in fast.all_special_ids]
    model.get_input_embeddings().weight.data[mute] = 0
    model.generation_config.do_sample = False
    with quiet_transformers():
        model.save_pretrained(folder)
    files.save(folder)
    (folder / "model.safetensors").chmod(0o644)


def _is_mute(piece: str) -> bool:
    return not piece.strip("▁ ").strip() or (piece.startswith("<") and piece.endswith(">"))


def take_model(source: Path, folder: Path) -> None:
    """A copy of a model folder, with the default template where it has none."""
    shutil.copytree(source, folder)
    if not (folder / "chat_template.jinja").is_file():
        replace(read_tokenizer(folder), chat_template=get_template("hanhua").jinja).save(folder)


def prompts(number: int) -> list[str]:
    """So many different questions in Chinese and English, from a few characters to some hundred.

    Taken from the demo's texts, which every installation has.
    """
    texts = {code: _texts(code) for code in ("zh", "en")}
    found: list[str] = []
    for i in count():
        if len(found) == number:
            return found
        code = ("zh", "en")[i % 2]
        size = WIDTHS[i // 2 % len(WIDTHS)] * (1 if code == "zh" else 3)
        begin = 211 * i % (len(texts[code]) - size)
        question = texts[code][begin : begin + size].strip()
        if question and question not in found:
            found.append(question)


def _texts(code: str) -> str:
    with gzip.open(DEMO / f"{code}.jsonl.gz", "rt", encoding="utf-8") as file:
        return " ".join(json.loads(line)["text"] for line in list(file)[:400])


def body(prompt: str, tokens: int, **more: Any) -> dict[str, Any]:
    """A greedy, streamed request for exactly so many tokens."""
    return {"messages": [{"role": "user", "content": prompt}], "max_tokens": tokens,
            "temperature": 0, "stream": True, "stream_options": {"include_usage": True},
            **more}  # fmt: skip
