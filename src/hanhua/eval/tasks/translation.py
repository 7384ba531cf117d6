"""Translation between English and Chinese: NTREX-128 and FLORES-200, scored by chrF and BLEU.

NTREX: https://github.com/MicrosoftTranslator/NTREX (https://aclanthology.org/2022.sumeval-1.4)
FLORES: https://github.com/facebookresearch/flores (https://arxiv.org/abs/2207.04672)

The words are those of lm-evaluation-harness's WMT tasks ("English phrase: … Chinese phrase:"),
which has neither set in these languages. FLORES shows sentences of its dev split and asks devtest;
NTREX has one split, so its first sentences are shown and not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.eval.tasks.commonsense import HARNESS
from hanhua.eval.tasks.flores import read_flores
from hanhua.eval.tasks.question import Question, Task, Wording
from hanhua.eval.tasks.rows import Place, questions_of, rows_of

NAMES = {"en": "English", "zh": "Chinese"}
MAX_NEW_TOKENS = 256
TRANSLATION = {
    f"{name}_{a}_{b}": (name, a, b)
    for name in ("ntrex", "flores") for a, b in (("en", "zh"), ("zh", "en"))
}  # fmt: skip
_FACTS = {
    "ntrex": ("https://github.com/MicrosoftTranslator/NTREX", "CC BY-SA 4.0"),
    "flores": ("https://github.com/facebookresearch/flores", "CC BY-SA 4.0"),
}


def read_translation(name: str, path: str, shots: int, dataset: str | None) -> Task:
    """Read one direction of a set.

    Args:
        name: a key of `TRANSLATION`.
        path: NTREX: rows with "en" and "zh", or the folder NTREX-128; FLORES: the folder with
            devtest/, and dev/ where examples are shown.
        shots: examples before each sentence.
        dataset: a hub's dataset of rows, in place of the path.

    Raises:
        InputError: no such files, or sides of different lengths.
    """
    family, a, b = TRANSLATION[name]
    if family == "flores":
        questions, shown = _flores(path, a, b, shots, dataset)
    else:
        pairs = _ntrex(path, a, b, dataset)
        questions, shown = pairs[shots:], pairs[:shots]
    if not questions or len(shown) < shots:
        raise InputError(
            "Too few sentences.", where=path, found=len(questions) + len(shown), fix="lower shots"
        )
    source, licence = _FACTS[family]
    wording = Wording(
        "lm-evaluation-harness wmt", HARNESS + "translation", lambda _: "", "", "", " ",
        lambda q: f"{NAMES[a]} phrase: {q.text}\n{NAMES[b]} phrase:",
    )  # fmt: skip
    return Task(
        name=name, version=2, language=b, source=source, licence=licence, wording=wording,
        answers="written", shots=shots, questions=tuple(questions), metric="chrf",
        examples={"": tuple(shown[:shots])} if shots else {}, until=("\n",), rule="line",
        max_new_tokens=MAX_NEW_TOKENS,
    )  # fmt: skip


def _ntrex(path: str, a: str, b: str, dataset: str | None) -> list[Question]:
    sides = {"en": "newstest2019-src.eng.txt", "zh": "newstest2019-ref.zho-CN.txt"}
    folder = Path(path)
    if not dataset and folder.is_dir() and (folder / sides["en"]).is_file():
        return _aligned(folder / sides[a], folder / sides[b], b)

    def parse(row: Any, name: str) -> Question:
        return Question(name, "", row[a], (row[b],), 0, b)

    place = Place("" if dataset else path, dataset)
    rows = rows_of(place, "test") if dataset or not folder.is_dir() else _folder_rows(folder)
    return list(questions_of(rows, parse, "test", '{"en": "…", "zh": "…"}'))


def _folder_rows(folder: Path) -> Any:
    files = sorted(p for p in folder.iterdir() if ".json" in p.name)
    if not files:
        raise InputError(
            "No NTREX files here.", where=folder, fix="give NTREX-128, or a jsonl file"
        )
    return (row for file in files for row in rows_of(Place(str(file)), "test"))


def _flores(
    path: str, a: str, b: str, shots: int, dataset: str | None
) -> tuple[list[Question], list[Question]]:
    if dataset:
        raise InputError(
            "FLORES is read from its files: a hub keeps each language apart.", where="eval.tasks",
            found=dataset, fix="download it, and give the folder with dev/ and devtest/ as path",
        )  # fmt: skip
    folder = Path(path)
    shown = read_flores(folder, "dev", a, b) if shots else []
    return read_flores(folder, "devtest", a, b), shown


def _aligned(source: Path, target: Path, language: str) -> list[Question]:
    sides: list[Sequence[str]] = []
    for path in (source, target):
        try:
            sides.append(path.read_text(encoding="utf-8").rstrip("\n").split("\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                "This side of the translation does not read.", where=path, found=error,
                fix="give the folder as it was published",
            ) from error  # fmt: skip
    if len(sides[0]) != len(sides[1]):
        raise InputError(
            "The two sides have different numbers of lines.", where=target,
            found=f"{len(sides[1])}, {source.name} has {len(sides[0])}", fix="fetch them again",
        )  # fmt: skip
    return [
        Question(f"{source.stem}/{i:05d}", "", one, (other,), 0, language)
        for i, (one, other) in enumerate(zip(*sides, strict=True))
    ]
