"""A LLaMA with random weights.

Every matrix starts at N(0, 0.02); the two matrices of a layer that write into the residual
stream start smaller, by sqrt(2 * layers), so that its variance does not grow with depth
(GPT-2, section 2.3: https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf).
"""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from hanhua.model.config import ScratchConfig

STD = 0.02
_RESIDUAL_WRITERS = ("o_proj.weight", "down_proj.weight")


def llama_config(config: ScratchConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The transformers config of a scratch section over a tokenizer's ids."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.context_tokens,
        tie_word_embeddings=config.tie_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        rms_norm_eps=1e-5,
        initializer_range=STD,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )


def new_model(
    config: ScratchConfig, tokenizer: PreTrainedTokenizerFast, seed: int
) -> LlamaForCausalLM:
    """A model with seeded random weights, float32, in eval mode.

    The draws come in the order of the parameters' names from one generator, so that neither
    transformers' own initialisation nor the global random state can change them.
    """
    model = LlamaForCausalLM(llama_config(config, tokenizer))
    generator = torch.Generator().manual_seed(seed)
    writer_std = STD / (2 * config.layers) ** 0.5
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if weight.dim() < 2:
                weight.fill_(1.0)
            else:
                std = writer_std if name.endswith(_RESIDUAL_WRITERS) else STD
                weight.normal_(0.0, std, generator=generator)
    model.tie_weights()
    return model.eval()
