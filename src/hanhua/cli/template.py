"""The commented recipe that `hanhua init` writes."""

from __future__ import annotations

_TEXT = """\
# A hanhua recipe: {base} → {target}.
# Check it with `hanhua plan`, run it with `hanhua run`. Paths start at this file's folder;
# ${{NAME}} and ${{NAME:-default}} are read from the environment. Every key: `hanhua schema`.
name: {name}            # the run goes to runs/{name}
seed: 17                # same recipe, same seed, same machine: same bytes
target: {target}
source: en

base:
  model: {base}         # a folder, org/name, hf:org/name@revision or modelscope:org/name

corpus:
  sources:              # txt, jsonl, csv, parquet; .gz, .zst, .xz; folders and globs
    - {{path: data/{target}, language: {target}, licence: CC-BY-4.0}}
    - {{path: data/en, language: en, licence: CC-BY-4.0}}
  held_out_docs: 200    # a language; never trained on, all bits per byte are measured here

vocab:
  add: 16000            # new pieces; 16,000 roughly halves the tokens of Chinese on LLaMA-2.
                        # Delete `vocab` and `expand` to keep the base's vocabulary.

expand:
  pad_to: 64            # rows of the embedding, for fast kernels

tokens:
  seq_len_tokens: 2048
  budget_tokens: 1_000_000_000
  shares: {{{target}: 0.7, en: 0.3}}   # by tokens, counted again from what was written.
                        # Too little English and English is lost: see the report's drift.
  max_epochs: 4.0       # how often a text may be read again to fill its share

pretrain:
  learning_rate: 1e-4
  batch_tokens: 524_288
  phases:
    - {{train: new_rows, share: 0.1}}  # the new rows learn first, the rest stands still
    - {{train: all, share: 0.9}}
  # watch: {{}}           # held-out bits per byte of both languages while it trains
  # stop: {{language: en, max_rise_bits: 0.05}}   # end it when English is being unlearnt
  # steer: {{wish: en+5%, low: 0.3, high: 0.8}}    # move the mixture to keep this limit

chatdata:
  sources:              # Alpaca, ShareGPT, OpenAI messages, FlagAlpha, pCLUE, … found by itself
    - {{path: data/chat-{target}.json, licence: CC-BY-4.0}}
    - {{path: data/chat-en.json, licence: CC-BY-4.0}}
  shares: {{{target}: 0.5, en: 0.5}}

finetune:
  learning_rate: 2e-5
  epochs: 2.0

# prefer:               # pairs of a better and a worse answer: dpo, simpo or orpo
#   sources: [{{path: data/pairs.json, licence: CC-BY-4.0}}]

eval:
  prompts:
    {target}: ["你好，请介绍一下你自己。"]
    en: ["Hello, please introduce yourself."]

export:
  formats: [hf]

machine:                # never changes what is computed
  device: auto
"""


def recipe_text(base: str, target: str) -> str:
    """The recipe for a base and a target language."""
    name = f"{base.rstrip('/').split('/')[-1].split('@')[0].lower()}-{target}"
    return _TEXT.format(base=base, target=target, name=name)
