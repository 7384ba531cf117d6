from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from chat_cases import quick
from hypothesis import given
from hypothesis import strategies as st

from hanhua.chat.conversation import (
    Conversation,
    Turn,
    problem,
    read_conversations,
    repair,
    write_conversations,
)
from hanhua.core.errors import ArtifactError

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufffd"), max_size=30)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    roles = draw(st.lists(st.sampled_from(["user", "assistant"]), max_size=6))
    turns = tuple(Turn(role, draw(texts)) for role in roles)  # type: ignore[arg-type]
    return Conversation(draw(texts), draw(texts), turns, draw(texts), "set", "MIT", draw(texts))


def talk(*pairs: tuple[str, str]) -> Conversation:
    return Conversation("a", "", tuple(Turn(r, t) for r, t in pairs))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("conversation", "reason"),
    [
        (talk(("user", "你好"), ("assistant", "你好！")), None),
        (talk(), "no_turns"),
        (talk(("user", "你好"), ("assistant", " \n")), "missing_answer"),
        (talk(("user", "你好")), "missing_answer"),
        (talk(("user", " "), ("assistant", "a")), "empty_text"),
        (talk(("assistant", "a")), "role_order"),
        (talk(("user", "a"), ("user", "b"), ("assistant", "c")), "role_order"),
        (talk(("user", "a"), ("assistant", "锟\ufffd")), "broken_text"),
        (talk(("user", "a\0"), ("assistant", "b")), "broken_text"),
        (talk(("user", "\ud800"), ("assistant", "b")), "broken_text"),
    ],
)
def test_every_flaw_has_its_reason(conversation: Conversation, reason: str | None) -> None:
    assert problem(conversation) == reason


@quick
@given(conversations())
def test_a_repaired_conversation_keeps_every_answer_that_can_be_learnt(
    conversation: Conversation,
) -> None:
    repaired, cuts = repair(conversation)
    assert bool(cuts) == (repaired != conversation)
    assert repair(repaired) == (repaired, ())
    lost = [t for t in conversation.turns if t not in repaired.turns]
    for turn in lost:
        before = conversation.turns[: conversation.turns.index(turn)]
        assert turn.role == "user" or all(t.role == "assistant" for t in before)


def test_repair_cuts_at_both_ends() -> None:
    whole = talk(("assistant", "hi"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    repaired, cuts = repair(whole)
    assert [t.text for t in repaired.turns] == ["a", "b"]
    assert cuts == ("leading_answer", "trailing_question")
    assert problem(repaired) is None


@quick
@given(st.lists(conversations(), max_size=5))
def test_written_conversations_come_back_and_equal_ones_make_equal_bytes(
    tmp_path_factory: pytest.TempPathFactory, found: list[Conversation]
) -> None:
    folder = tmp_path_factory.mktemp("conversations")
    first, second = folder / "a.parquet", folder / "b.parquet"
    assert write_conversations(first, iter(found)) == len(found)
    write_conversations(second, found)
    assert list(read_conversations(first)) == found
    assert first.read_bytes() == second.read_bytes()


def test_many_conversations_are_written_in_groups(tmp_path: Path) -> None:
    found = [Conversation(str(i), "", (Turn("user", "q"), Turn("assistant", "a")))
             for i in range(5000)]  # fmt: skip
    assert write_conversations(tmp_path / "a.parquet", found) == 5000
    assert [c.id for c in read_conversations(tmp_path / "a.parquet")] == [c.id for c in found]


def test_files_of_before_are_still_read(tmp_path: Path) -> None:
    found = [Conversation("1", "s", (Turn("user", "q"), Turn("assistant", "a")), "zh", task="t")]
    write_conversations(tmp_path / "new.parquet", found)
    table = pq.read_table(tmp_path / "new.parquet").drop(["domain", "rejected"])
    pq.write_table(table, tmp_path / "old.parquet")
    assert list(read_conversations(tmp_path / "old.parquet")) == found


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no parquet")
    with pytest.raises(ArtifactError, match="not a file of conversations"):
        list(read_conversations(tmp_path / "a.parquet"))


def test_messages_are_those_of_the_openai_api() -> None:
    conversation = Conversation("a", "be kind", (Turn("user", "q"), Turn("assistant", "a")))
    assert conversation.messages() == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
    ]
    assert conversation.chars == 9
    assert conversation.target_bytes == 1
