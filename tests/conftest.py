"""Fixtures for every test: the shared data where it is there, a tiny real LLaMA, small texts."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("hanhua", deadline=None)  # no test depends on the clock
settings.load_profile("hanhua")


REPOSITORY = Path(__file__).resolve().parents[1]

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: threads only wait for each other
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ZH = "小明住在河边的小镇上，他每天早上去市场买鱼和白菜。天气很好，他的朋友说：“我们一起去山上吧！”"
EN = "Tom lives in a small town by the river. Every morning he goes to the market and buys fish. "


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora, models and benchmarks; tests that need it skip without it."""
    path = Path(os.environ.get("HANHUA_DATA") or REPOSITORY.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"needs the shared data: set HANHUA_DATA (looked at {path})")
    return path


@pytest.fixture(scope="session")
def gpu() -> str:
    """The device of tests that want a GPU; HANHUA_REHEARSE=1 lets them run on a CPU in its place.

    On a CPU they show that what they say can be run, and nothing of a GPU.
    """
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if os.environ.get("HANHUA_REHEARSE") == "1":
        return "cpu"
    pytest.skip("there is no CUDA device")


@pytest.fixture(scope="session")
def sentences() -> dict[str, list[str]]:
    """A few hundred varied sentences a language, enough to train a tiny tokenizer on."""
    random_ = random.Random(7)
    pick = random_.choice
    zh_who, zh_where = (
        ["小明", "他的朋友", "老师", "那个孩子", "我们"],
        ["市场", "山上", "学校", "河边"],
    )
    zh_what = ["买鱼", "看书", "种白菜", "唱歌", "画红色的花", "喝茶", "写信", "休息"]
    zh_how = ["天气很好的时候", "每天早上", "下雨了也", "因为不忙", "和家人一起"]
    en_who, en_where = (
        ["Tom", "his friend", "the teacher", "a child", "we"],
        ["market", "hill", "school"],
    )
    en_what = ["bought a fish", "read the book", "planted corn", "sang a song", "drank some tea"]
    en_how = ["when it was warm", "in the morning", "while it was raining", "as he was not busy"]
    return {
        "zh": [f"{pick(zh_who)}{pick(zh_how)}在{pick(zh_where)}{pick(zh_what)}，这是有意思的事。"
               for _ in range(300)] + [ZH],
        "en": [f"{pick(en_who)} {pick(en_what)} at the {pick(en_where)} {pick(en_how)}, "
               "and it was good." for _ in range(300)] + [EN],
    }  # fmt: skip


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory, sentences: dict[str, list[str]]) -> Path:
    """A random LLaMA (dim 32, 2 layers) with a real SentencePiece tokenizer, English only.

    Only tokenizer.model is there, as in Llama-2's release; vocabulary about 320 with byte fallback.
    """
    import sentencepiece
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny-llama")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences["en"] * 2), model_prefix=str(folder / "tokenizer"),
        model_type="bpe", vocab_size=320, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True, character_coverage=1.0,
        hard_vocab_limit=False, minloglevel=2, num_threads=1,
    )  # fmt: skip
    (folder / "tokenizer.vocab").unlink()
    size = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model")).vocab_size()
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
