"""FLORES in the four forms that it was published in, found by the names of its files.

- FLORES-200: ``devtest/eng_Latn.devtest``, a line each (https://arxiv.org/abs/2207.04672)
- FLORES-101: ``devtest/eng.devtest``, Chinese is ``zho_simpl`` (https://arxiv.org/abs/2106.03193)
- FLORES+ as an archive: ``devtest/devtest.eng_Latn``, Chinese is ``cmn_Hans``
  (https://github.com/openlanguagedata/flores)
- FLORES+ as rows: ``devtest/eng_Latn.parquet`` (or jsonl) of id and text; as FLORES-200's hub copy
  wrote them, ``sentence``
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.eval.tasks.question import Question
from hanhua.eval.tasks.rows import Place, rows_of

CODES: Mapping[str, tuple[str, ...]] = {
    "en": ("eng_Latn", "eng"), "zh": ("zho_Hans", "cmn_Hans", "zho_simpl"),
}  # fmt: skip
ROW_SUFFIXES = ("parquet", "jsonl", "jsonl.gz", "jsonl.zst", "json")
_TEXT = ("text", "sentence")


def read_flores(folder: Path, split: str, a: str, b: str) -> list[Question]:
    """The sentences of one split, from one language to another.

    Args:
        folder: that holds dev/ and devtest/.
        split: "dev" or "devtest".
        a: language of the sentences to translate, as in `CODES`.
        b: language to translate into.

    Raises:
        InputError: no such files, rows of another form, or sides that do not go together.
    """
    sides = [_find(folder / split, split, code) for code in (a, b)]
    source, target = (_sentences(path) for path in sides)
    if list(source) != list(target):
        odd = sorted(set(source) ^ set(target))
        raise InputError(
            "The two sides are not of the same sentences.", where=sides[1],
            found=f"{len(target):,}, {sides[0].name} has {len(source):,}"
            + (f"; only one has {', '.join(odd[:3])}" if odd else "; in another order"),
            fix="fetch them again",
        )  # fmt: skip
    prefix = f"{CODES[a][0]}.{split}"
    return [
        Question(f"{prefix}/{key}", "", text, (target[key],), 0, b) for key, text in source.items()
    ]


def _find(folder: Path, split: str, code: str) -> Path:
    names = [
        name for label in CODES[code]
        for name in (f"{label}.{split}", f"{split}.{label}",
                     *(f"{label}.{suffix}" for suffix in ROW_SUFFIXES))
    ]  # fmt: skip
    for name in names:
        if (folder / name).is_file():
            return folder / name
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    raise InputError(
        f"This side of FLORES is not there: {code}.", where=folder,
        found=", ".join(there[:6]) or "no such folder",
        fix=f"give the folder as it was published, with {names[0]} or {names[2]}",
    )  # fmt: skip


def _sentences(path: Path) -> dict[str, str]:
    """Number or id -> sentence, in order."""
    if any(path.name.endswith(suffix) for suffix in ROW_SUFFIXES):
        return dict(_rows(path))
    try:
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "This side of the translation does not read.", where=path, found=error,
            fix="give the folder as it was published",
        ) from error  # fmt: skip
    return {f"{i:05d}": line for i, line in enumerate(lines)}


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    for i, (where, row) in enumerate(rows_of(Place(str(path)), "test")):
        found: Any = dict(row) if isinstance(row, Mapping) else {}
        text = next((found[key] for key in _TEXT if isinstance(found.get(key), str)), None)
        if text is None:
            raise InputError(
                "This row is no sentence of FLORES.", where=where, found=str(row)[:200],
                fix='give rows as published: {"id": 1, "text": "…"}',
            )  # fmt: skip
        number = found.get("id", i)
        yield f"{number:05d}" if isinstance(number, int) else str(number), text
