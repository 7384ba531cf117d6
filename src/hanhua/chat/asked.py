"""Which conversations hold a question that a benchmark asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hanhua.core.artifact import outside_files
from hanhua.text.contamination.overlap import OverlapIndex
from hanhua.text.contamination.questions import read_question_files
from hanhua.text.copies.minhash import canonical_points


def find_asked(
    texts: Iterable[str], patterns: Sequence[str], where: str
) -> tuple[dict[int, str], dict[str, Any]]:
    """Look for evaluation questions in texts.

    Args:
        texts: in order; not read where no files are named.
        patterns: files of questions, or globs.
        where: the key in the recipe that names them.

    Returns:
        number of a text -> the largest part found and of which question; and the account: what
        was looked for and what of it was found, by file.

    Raises:
        InputError: for a file that cannot be read or holds no question.
    """
    paths = [path for pattern in patterns for path in outside_files(pattern, where)]
    questions = read_question_files(paths)
    touched: set[int] = set()
    found: dict[int, str] = {}
    if questions.texts:
        index = OverlapIndex(questions.texts, questions=True)
        for number, text in enumerate(texts):
            held = index.find_all(canonical_points(text))
            if held:
                touched.update(overlap.item for overlap in held)
                most = max(held, key=lambda overlap: overlap.share)
                found[number] = f"{most.share} of: {questions.texts[most.item]:.120}"
    return found, questions.account(touched)
