"""Conversations to try, and which template goes with which kind of tokenizer."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.pattern import Template
from hanhua.chat.templates import TEMPLATES

LLAMA3 = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
          "<|eot_id|>"]  # fmt: skip
CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
YAYI = ["<|System|>", "<|Human|>", "<|YaYi|>", "<|End|>"]
KINDS = {"spm": [], "spm_legacy": [], "spm_yayi": YAYI, "byte_llama3": LLAMA3,
         "byte_chatml": CHATML}  # fmt: skip
"""Kinds of tokenizers, and the special tokens that they have beside those of Llama-2."""


def _kinds(template: Template) -> list[str]:
    """Who can write a template; templates that differ in a system text are tried on one."""
    able = [k for k, tokens in KINDS.items() if set(template.needs) <= set(tokens)]
    if template.needs_bos:
        able.remove("byte_chatml")
    asked = template.name.endswith("+system") or template.name == "linksoul"
    return able[:1] if asked else [k for k in able if template.needs or k != "spm_yayi"]


PAIRS = [(name, kind) for name, template in TEMPLATES.items() for kind in _kinds(template)]
"""Each template with the tokenizers that can write it."""

quick = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
markers = st.sampled_from(
    ["</s>", "<s>", "A:", "Q: ", "[INST]", "[/INST] ", "<<SYS>>\n", "<|im_end|>\n", "<|eot_id|>",
     "\n<</SYS>>\n\n", "### Instruction:", "### Response:\n", "[", "INST]", "#", "<|End|>",
     "Human: ", "Assistant:", "<|YaYi|>:\n",
     "{{ bos_token }}", "{% endif %}", "{text}", "{eos}", "\n", " ", "'", "\\n", "\u3000", "\x85"]
)  # fmt: skip
plain = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cn"], exclude_characters="\0\ufffd"),
    min_size=1,
    max_size=12,
)
texts = st.lists(markers | plain, min_size=1, max_size=4).map("".join)
said = texts.filter(str.strip)


@st.composite
def conversations(draw: st.DrawFn, words: st.SearchStrategy[str] = said) -> Conversation:
    count = draw(st.integers(1, 3))
    turns = []
    for _ in range(count):
        turns += [Turn("user", draw(words)), Turn("assistant", draw(words))]
    return Conversation("a", draw(st.just("") | words), tuple(turns))
