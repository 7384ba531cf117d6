"""Text that a quantiser watches activations on: rows of tokens in the shares of the training mix.

A quantiser keeps best what it sees. With calibration in one language the other loses more
(https://arxiv.org/abs/2601.18306), so both are there, as in the tokens that the model was trained
on. The text is never the held-out text that the result is measured on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.core.artifact import Artifact
from hanhua.core.errors import InputError
from hanhua.text.document import Document

Rows = list[list[int]]


def row_counts(shares: Mapping[str, float], rows: int) -> dict[str, int]:
    """Rows of each language: whole numbers that sum to ``rows``, nearest to the shares.

    Args:
        shares: by language, not all 0; they need not sum to 1.
        rows: at least one.
    """
    total = sum(shares.values())
    exact = {language: rows * share / total for language, share in shares.items()}
    found = {language: int(count) for language, count in exact.items()}
    by_rest = sorted(exact, key=lambda language: (found[language] - exact[language], language))
    for language in by_rest[: rows - sum(found.values())]:
        found[language] += 1
    return found


def calibration(
    tokenizer: Any, texts: Mapping[str, Iterable[Document]], shares: Mapping[str, float],
    rows: int, length: int,
) -> tuple[Rows, dict[str, int]]:  # fmt: skip
    """Rows of ids, each begun as the tokenizer begins a text, the languages one after another.

    Args:
        tokenizer: the model's.
        texts: documents by language; read only as far as needed.
        shares: by language.
        rows: how many.
        length: tokens of each.

    Returns:
        The rows, and how many tokens of each language they hold.

    Raises:
        InputError: when a language with a share has too little text.
    """
    found: Rows = []
    counts: dict[str, int] = {}
    for language, wanted in sorted(row_counts(shares, rows).items()):
        stream: list[int] = []
        for document in texts.get(language, ()):
            if len(stream) >= wanted * length:
                break
            stream += tokenizer(document.text)["input_ids"]
        own = [stream[i * length : (i + 1) * length] for i in range(wanted)]
        if wanted and len(stream) < wanted * length:
            raise InputError(
                "There is too little text to calibrate on.", where=language,
                found=f"{len(stream):,} tokens, {wanted * length:,} are needed",
                fix="name more text with --calibrate, or lower --calibration-rows",
            )  # fmt: skip
        found += own
        counts[language] = sum(map(len, own))
    return found, counts


def counted_shares(tokens: Path | None, languages: Sequence[str]) -> dict[str, float]:
    """Shares of languages in the tokens that a run trained on; equal ones where it has none.

    Args:
        tokens: the artifact of stage ``tokens``.
        languages: those that there is text of.
    """
    counted: dict[str, float] = {}
    if tokens is not None:
        metrics = Artifact.load(tokens).metrics
        counted = dict(metrics.get("shares", {}).get("counted", {}))
    found = {language: float(counted.get(language, 0.0)) for language in languages}
    return found if sum(found.values()) else dict.fromkeys(languages, 1.0)
