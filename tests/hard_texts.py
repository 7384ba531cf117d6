"""Lines on which tokenizers part ways, for every test that holds two readers of one model together.

Also the small byte-level tokenizer that those tests use beside the SentencePiece one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

MARKERS = (
    "<s>", "</s>", "<unk>", "<|begin|>", "<|end|>", "<tool>", "<|im_start|>user\n", "<|im_end|>",
    "[INST] x [/INST]", "<<SYS>>", "<|eot_id|>", "Q: A:", "<0x0A>", "<|endoftext|>",
)  # fmt: skip
"""Markers of chat templates and special tokens, some of them of the models under test."""

PLAIN_LINES = (
    "The river is long; isn't it? It's 3.14159 km, WE'LL see.",
    "你好，世界！今天天气怎么样？",
    "我用Python3写了RAG系统，latency只有20ms，OK吗？",
    "小明bought a鱼at the市场, and it was good。",
    "𠮷野家的龘靐齉爨，㐂𪚥𠔻𰻝",  # Han beyond the basic plane
    "凉亮 﨑神 〇 ㈱ ½ x² ﬁ",  # compatibility forms
    "👩‍👩‍👧‍👦🇨🇳😀❤️👍🏽 emoji混排",
    "ＡＢＣ１２３，ｶﾞ；「引号」『双引』《书名》……——",
    "12345 2026年11月26日 1,000.50 １２３",
    "  two  spaces,\ttab\t\tand\nnew line\r\n\n",
    " leading", "trailing ", "   ", "\n", "\t中", "\u3000全角空格\u3000", "a\u00a0b\u200b\ufeffc",
    "e\u0301 é が か\u3099",  # the same letters, composed and not
    "한국어 ไทย עברית العربية हिन्दी",
    "def f(x):\n\treturn x  # 注释\n",
    "http://a.cn/?q=中文&n=1 \\n \\u4e2d ▁ Ġ Ċ",
    "ſ 'ſ İ \u212a", "\ue000\U0010fffd", "a" * 40, "我们" * 20, "====----~~~~",
)  # fmt: skip
"""Without the string of any special token."""

HARD_LINES = (*PLAIN_LINES, *MARKERS, *(f"我说{m}了吗 {m}? a{m}b" for m in MARKERS))

WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3, QWEN2 = WORDS % "{1,3}", WORDS % ""
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def split(expression: str, behavior: str = "Isolated", *, invert: bool = False) -> dict[str, Any]:
    """A pre-tokenizer that cuts by an expression and then writes bytes."""
    cut = {"type": "Split", "pattern": {"Regex": expression}, "behavior": behavior}
    return {"type": "Sequence", "pretokenizers": [cut | {"invert": invert}, BYTES]}


def byte_bpe(sentences: dict[str, list[str]]) -> Tokenizer:
    """400 pieces over bytes; with a little Chinese, whose characters are one to three tokens."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(sentences["en"] + ["小明，学校。"] * 40 + ["市长"] * 9, trainer)
    return tokenizer


def byte_level(folder: Path, sentences: dict[str, list[str]], **changes: Any) -> Path:
    """A base as Llama 3 is: a BOS, words by its expression, tokens behind the vocabulary."""
    tokenizer = byte_bpe(sentences)
    tokenizer.add_special_tokens(["<|begin|>", "<|end|>"])
    tokenizer.add_tokens(["<tool>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", 400)]
    )
    raw = json.loads(tokenizer.to_str()) | {"pre_tokenizer": split(LLAMA3)} | changes
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")
    named = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "chat_template": "{{ messages }}"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named), encoding="utf-8")
    return folder
