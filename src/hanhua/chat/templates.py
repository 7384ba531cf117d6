"""The entries of the template registry: our own, the common ones, and those of seed projects.

Each says where its format is stated. A format is written as its project trained it, not as some
script of the same project prompts it; the guide (docs/guides/templates.md) lists where the two
differ. ``NAME+system`` is NAME with the project's own system text where a conversation has none.

The default, ``hanhua``, needs nothing that a base tokenizer does not have:

    <s>S: (system text, if any)</s>Q: 你好</s>A: 你好！</s>Q: …

- Every turn ends with the end token, which text can never produce (see `encode`): whatever a
  user writes, even ``A:``, a turn cannot be forged. Measured price against a line break in its
  place: 0.4 to 0.7 % more bits per byte of answer after 60 steps on a 3M-parameter model, whose
  end token had never been trained before.
- ``Q``/``A`` are read as question and answer in Chinese text as in English, and are one byte
  each: an exchange costs 7 tokens beside its texts with any vocabulary, 9 where the texts' first
  pieces cannot take the space; Alpaca's headings cost 25 in a vocabulary of 4,096. No new token
  has to be learnt, no row added.
- A space stands before each text, inside what is learnt: SentencePiece and byte-level BPE both
  have their word-initial pieces, so an answer starts as a document of the base starts, and no
  token can straddle the border between prompt and answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from hanhua.chat.pattern import Template, with_default_system

_META = (
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, "
    "while being safe.  Your answers should not include any harmful, unethical, racist, sexist, "
    "toxic, dangerous, or illegal content. Please ensure that your responses are socially "
    "unbiased and positive in nature.\n\n{}If a question does not make any sense, or is not "
    "factually coherent, explain why instead of answering something not correct. If you don't "
    "know the answer to a question, please don't share false information."
)
_INST = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")
_HEADINGS = ("### Instruction:", "### Response:")

_OWN = (
    Template(
        name="hanhua",
        description="the default: works with any tokenizer, adds no token",
        source="this project",
        start="{bos}{system}",
        system="S: {text}{eos}",
        question="Q: {text}{eos}",
        opening="A:",
        answer=" {text}{eos}",
    ),
)
_COMMON = (
    Template(
        name="llama-2",
        description="Llama-2-chat as Meta writes it",
        source="https://github.com/meta-llama/llama, llama/generation.py",
        system="<<SYS>>\n{text}\n<</SYS>>\n\n",
        question="{bos}[INST] {system}{text} [/INST]",
        opening="",
        answer=" {text} {eos}",
        shield=_INST,
        default_system=_META.format(""),
    ),
    Template(
        name="llama-3",
        description="Llama-3-Instruct, for tokenizers with its header tokens",
        source="https://github.com/meta-llama/llama3, llama/tokenizer.py",
        start="{bos}{system}",
        system="<|start_header_id|>system<|end_header_id|>\n\n{text}<|eot_id|>",
        question="<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>",
        opening="<|start_header_id|>assistant<|end_header_id|>\n\n",
        answer="{text}<|eot_id|>",
        stop=("<|eot_id|>",),
        needs=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    Template(
        name="chatml",
        description="Qwen and others, for tokenizers with <|im_start|> and <|im_end|>",
        source="https://github.com/openai/openai-python/blob/v0.28.1/chatml.md",
        start="{system}",
        system="<|im_start|>system\n{text}<|im_end|>\n",
        question="<|im_start|>user\n{text}<|im_end|>\n",
        opening="<|im_start|>assistant\n",
        answer="{text}<|im_end|>",
        closing="\n",
        stop=("<|im_end|>",),
        needs=("<|im_start|>", "<|im_end|>"),
        default_system="You are a helpful assistant.",
    ),
    Template(
        name="alpaca",
        description="Stanford Alpaca without an input field, more turns after the end token",
        source="https://github.com/tatsu-lab/stanford_alpaca, train.py; line break after "
        "Response: as in https://github.com/tloen/alpaca-lora",
        start="{bos}{system}",
        system="{text}\n\n",
        question="### Instruction:\n{text}\n\n",
        opening="### Response:\n",
        answer="{text}{eos}",
        closing="\n\n",
        shield=_HEADINGS,
        default_system="Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.",
        system_by_default=True,
    ),
)
_SEEDS = (
    Template(
        name="linksoul",
        description="LinkSoul's Chinese-Llama-2: as llama-2, with another system text",
        source="https://github.com/LinkSoul-AI/Chinese-Llama-2-7b, train.py and api.py",
        system="<<SYS>>\n{text}\n<</SYS>>\n\n",
        question="{bos}[INST] {system}{text} [/INST]",
        opening="",
        answer=" {text} {eos}",
        shield=_INST,
        # The indentation of their source stands in the text; before the first paragraph, where
        # train.py has it too, it is trimmed, which is what api.py and infer.py write.
        default_system=_META.format(" " * 12),
    ),
    Template(
        name="chinese-alpaca-2",
        description="Chinese-Alpaca-2: as llama-2, no space before the end token",
        source="https://github.com/ymcui/Chinese-LLaMA-Alpaca-2, scripts/training/build_dataset.py",
        system="<<SYS>>\n{text}\n<</SYS>>\n\n",
        question="{bos}[INST] {system}{text} [/INST]",
        opening="",
        answer=" {text}{eos}",
        shield=_INST,
        default_system="You are a helpful assistant. 你是一个乐于助人的助手。",
    ),
    Template(
        name="flagalpha",
        description="FlagAlpha's Llama2-Chinese and Atom",
        source="https://github.com/LlamaFamily/Llama-Chinese, README",
        start="{system}",
        system="{bos}System: {text}\n{eos}",
        question="{bos}Human: {text}\n{eos}",
        opening="{bos}Assistant:",
        answer=" {text}\n{eos}",
    ),
    Template(
        name="yayi",
        description="YaYi on LLaMA-2, for tokenizers with its four tokens",
        source="https://github.com/wenge-research/YAYI, training/trainer_multi_rounds.py",
        start="{bos}{system}",
        system="<|System|>:\n{text}\n\n",
        question="<|Human|>:\n{text}\n\n",
        opening="<|YaYi|>:\n",
        answer="{text}\n\n<|End|>",
        stop=("<|End|>",),
        needs=("<|System|>", "<|Human|>", "<|YaYi|>", "<|End|>"),
        default_system="A chat between a human and an AI assistant named YaYi.\nYaYi is a helpful "
        "and harmless language model developed by Beijing Wenge Technology Co.,Ltd.",
    ),
    Template(
        name="linly",
        description="Linly's Chinese-LLaMA-2 as its Hugging Face models are prompted",
        source="https://github.com/CVI-SZU/Linly, README",
        start="{bos}{system}",
        system="{text}\n",
        question="### Instruction:{text}  ",
        opening="### Response:",
        answer=" {text}{eos}",
        shield=_HEADINGS,
    ),
    Template(
        name="colossal",
        description="Colossal-LLaMA's supervised tuning",
        source="https://github.com/hpcaitech/ColossalAI, applications/Colossal-LLaMA/"
        "colossal_llama/dataset/conversation.py",
        start="{bos}{system}",
        system="{text}\n\n",
        question="Human: {bos}{text}{eos}",
        opening="Assistant: {bos}",
        answer="{text}{eos}",
        default_system="A chat between a curious human and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the human's questions.",
    ),
)


def _registry() -> dict[str, Template]:
    found = {template.name: template for template in (*_OWN, *_COMMON, *_SEEDS)}
    for template in tuple(found.values()):
        if template.default_system and not template.system_by_default:
            asked = with_default_system(template)
            found[asked.name] = asked
    return found


TEMPLATES: Mapping[str, Template] = _registry()
DEFAULT = "hanhua"
