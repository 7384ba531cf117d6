from __future__ import annotations

import io

import pytest

from hanhua.core.errors import ModelError
from hanhua.serve.terminal import chat


def talk(folder, lines: str, **options) -> tuple[str, list[dict[str, str]]]:
    out = io.StringIO()
    turns = chat(folder, source=io.StringIO(lines), out=out, max_tokens=12, **options)
    return out.getvalue(), turns


def test_piped_questions_one_line_in_one_answer_out(chat_folder):
    text, turns = talk(chat_folder, "你好\n\nTom went\n")
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 2
    answers = [turn["content"] for turn in turns if turn["role"] == "assistant"]
    assert text == "".join(answer + "\n" for answer in answers)
    assert ">" not in text.replace(answers[0], "").replace(answers[1], "")


def test_one_question_by_prompt_is_the_first_of_a_conversation(chat_folder):
    _, asked = talk(chat_folder, "", prompt="你好")
    _, piped = talk(chat_folder, "你好\nTom")
    assert asked == piped[:2]


def test_history_counts_and_reset_forgets_it(chat_folder):
    _, alone = talk(chat_folder, "Tom")
    _, after = talk(chat_folder, "the hill is red\nTom")
    _, reset = talk(chat_folder, "the hill is red\n/reset\nTom")
    assert reset == alone
    assert after[2:] != alone


def test_exit_leaves(chat_folder):
    _, turns = talk(chat_folder, "Tom\n/exit\nhill\n")
    assert len(turns) == 2


def test_a_system_text_and_a_seed_change_the_answer(chat_folder):
    _, plain = talk(chat_folder, "Tom")
    _, told = talk(chat_folder, "Tom", system="the market is red")
    assert plain != told
    hot = [talk(chat_folder, "Tom", temperature=1.5, seed=seed)[1] for seed in (1, 1, 2)]
    assert hot[0] == hot[1] != hot[2]


def test_old_turns_go_when_the_context_is_full(chat_folder):
    question = "Tom " * 900
    _, turns = talk(chat_folder, f"{question}\n" * 3)
    assert 2 <= len(turns) < 6
    assert turns[-2]["content"] == question.strip()


def test_a_question_beyond_the_context_is_refused_and_forgotten(chat_folder):
    text, turns = talk(chat_folder, "Tom " * 9000 + "\nhill\n")
    assert "does not fit" in text
    assert turns[0]["content"] == "hill"


def test_a_base_model_cannot_be_talked_to(base_folder):
    with pytest.raises(ModelError, match="no chat template"):
        talk(base_folder, "Tom")
