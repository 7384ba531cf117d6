"""Conversations to try, and which template goes with which kind of tokenizer."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hanhua.chat.conversation import Conversation, Turn

LLAMA3 = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
          "<|eot_id|>"]  # fmt: skip
CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PAIRS = [
    ("hanhua", "spm"), ("hanhua", "spm_legacy"), ("hanhua", "byte_llama3"),
    ("hanhua", "byte_chatml"), ("llama-2", "spm"), ("llama-2", "spm_legacy"),
    ("llama-3", "byte_llama3"), ("chatml", "byte_chatml"),
]  # fmt: skip
"""Each template with the tokenizers that can write it."""

quick = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
markers = st.sampled_from(
    ["</s>", "<s>", "A:", "Q: ", "[INST]", "[/INST] ", "<<SYS>>\n", "<|im_end|>\n", "<|eot_id|>",
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
