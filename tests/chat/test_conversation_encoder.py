"""Many conversations at once: the ids and the mask of each by itself, whatever the way."""

from __future__ import annotations

from typing import Any

import pytest
from chat_cases import PAIRS, conversations, quick, said
from hypothesis import given
from hypothesis import strategies as st

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.encode import encode_conversation
from hanhua.chat.template import TEMPLATES, get_template
from hanhua.tokens import conversation_encoder
from hanhua.tokens.conversation_encoder import ConversationEncoder

odd = said | st.sampled_from(["😀é", "a </s> b", "<s>", "▁▁ x", "\t\x00\n", "好" * 9])
SOME = [
    Conversation("a", "Be brief.", (Turn("user", "小明 is 😀?"), Turn("assistant", "é 好 \n a"))),
    Conversation("b", "", (Turn("user", "</s> <s>"), Turn("assistant", "Tom  likes</s>red"))),
    Conversation("c", "", (Turn("user", "Tom?"), Turn("assistant", "x"), Turn("user", "▁"),
                           Turn("assistant", "天气很好，\u3000Tom."))),
]  # fmt: skip


def same(encoder: ConversationEncoder, tokenizer: Any, name: str, talks: list[Any]) -> None:
    found = [(ids.tolist(), mask.tolist()) for ids, mask in encoder.encode(talks)]
    assert found == [encode_conversation(tokenizer, get_template(name), talk) for talk in talks]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_batches_change_nothing(
    tokenizers: dict[str, Any], name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_encoder, "PARTS_FROM_CHARS", 1)
    encoder = ConversationEncoder(tokenizers[kind], TEMPLATES[name])
    same(encoder, tokenizers[kind], name, SOME)
    same(encoder, tokenizers[kind], name, [SOME[1]])  # only what somebody forged
    assert (encoder._parts is not None) == (kind == "spm_legacy")


@quick
@given(talks=st.lists(conversations(odd), min_size=1, max_size=4))
def test_any_conversations_by_parts(tokenizers: dict[str, Any], talks: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversation_encoder, "PARTS_FROM_CHARS", 0)
        encoder = ConversationEncoder(tokenizers["spm_legacy"], get_template("hanhua"))
        for _ in range(2):  # new, then remembered
            same(encoder, tokenizers["spm_legacy"], "hanhua", talks)


def test_characters_in_bytes_are_learnt_whole(tokenizers: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversation_encoder, "PARTS_FROM_CHARS", 0)
        encoder = ConversationEncoder(tokenizers["spm_legacy"], get_template("hanhua"))
        ((ids, mask),) = encoder.encode([SOME[0]])
    tokens = tokenizers["spm_legacy"].convert_ids_to_tokens(ids[mask].tolist())
    assert tokens[-1] == "</s>"
    assert "<0xC3>" in tokens, "é is not in the vocabulary, so its bytes are"
    assert tokens[tokens.index("<0xC3>") + 1] == "<0xA9>"
