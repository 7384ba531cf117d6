"""Tiny real models and rows, for these tests and for the processes they start."""

from __future__ import annotations

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from hanhua.tokens.rows import PackedRows, Row, RowsWriter

VOCAB = 96


def make_llama(tied: bool = True, seed: int = 0, **values):
    torch.manual_seed(seed)
    settings = {
        "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
        "tie_word_embeddings": tied, "initializer_range": 0.2,
    }  # fmt: skip
    return LlamaForCausalLM(LlamaConfig(**{**settings, **values}))


EXPERTS = {
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {
        "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
        "shared_expert_intermediate_size": 40, "mlp_only_layers": [0],
    },
    "qwen3_moe": {
        "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "head_dim": 8,
    },
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 24},
    "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 24},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8},
    "deepseek_v3": {
        "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
        "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1,
        "kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
        "v_head_dim": 8, "num_key_value_heads": 4,
    },
}  # fmt: skip
"""What makes a tiny model of a family a mixture of experts."""


def make_experts(kind="mixtral", seed=0, **values):
    """A mixture of experts of one of the families of ``EXPERTS``."""
    torch.manual_seed(seed)
    settings = {
        "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
        "initializer_range": 0.2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    config = AutoConfig.for_model(kind, **{**settings, **EXPERTS[kind], **values})
    model = AutoModelForCausalLM.from_config(config)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):  # not at its neutral start
            buffer.normal_(0, 0.2)
    return model


def make_rows(path, n_rows=24, seq_len_tokens=32, has_targets=False, seed=0):
    """Rows of documents of mixed lengths in two languages, some rows not full."""
    rng = np.random.default_rng(seed)
    writer = RowsWriter(path, seq_len_tokens, VOCAB, ["en", "zh"], has_targets=has_targets)
    for i in range(n_rows):
        cuts = np.sort(rng.choice(np.arange(1, seq_len_tokens), 3, replace=False))
        lengths = np.diff(np.concatenate([[0], cuts])) if i % 3 else np.array([seq_len_tokens])
        n = int(lengths.sum())
        # predictable text, so that a few steps of training show in the loss
        tokens = (np.arange(n) * 3 + rng.integers(0, 4)) % VOCAB
        targets = rng.random(n) < 0.5 if has_targets else None
        writer.add(Row(tokens, targets, lengths.astype(np.int32), "zh" if i % 2 else "en"))
    writer.close()
    return PackedRows.open(path)


def make_text_rows(path, bad=(), left_out=(), n_rows=120, seq_len_tokens=32, token=None):
    """Full rows of predictable text, of which some are nonsense.

    Args:
        path: the folder.
        bad: rows of random tokens.
        left_out: rows that are not written at all, the others staying as they are.
        n_rows: left-out ones counted.
        seq_len_tokens: of a row.
        token: stands in every bad row; elsewhere the last id of the vocabulary never does.
    """
    rng = np.random.default_rng(0)
    writer = RowsWriter(path, seq_len_tokens, VOCAB, ["en", "zh"])
    for i in range(n_rows):
        tokens = (np.arange(seq_len_tokens) * 3 + rng.integers(0, 4)) % (VOCAB - 1)
        noise = rng.integers(0, VOCAB - 1, seq_len_tokens)
        if i in bad:
            tokens = noise
            tokens[4] = noise[4] if token is None else token
        if i not in left_out:
            lengths = np.array([seq_len_tokens], np.int32)
            writer.add(Row(tokens, None, lengths, "zh" if i % 2 else "en"))
    writer.close()
    return PackedRows.open(path)
