"""All tasks by name, and how each is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.eval.config import TaskConfig
from hanhua.eval.tasks.agieval import EXAMS as AGIEVAL
from hanhua.eval.tasks.agieval import read_agieval
from hanhua.eval.tasks.chinese import CHINESE
from hanhua.eval.tasks.commonsense import COMMONSENSE
from hanhua.eval.tasks.exams import EXAMS, read_exam
from hanhua.eval.tasks.hard import read_bbh
from hanhua.eval.tasks.question import Answers, Task
from hanhua.eval.tasks.rows import Place
from hanhua.eval.tasks.rowset import read_rowset
from hanhua.eval.tasks.schools import read_gaokao
from hanhua.eval.tasks.sums import GSM8K
from hanhua.eval.tasks.translation import TRANSLATION, read_translation
from hanhua.eval.tasks.truthful import TRUTHFUL
from hanhua.eval.tasks.worlds import read_worlds

Read = Callable[[TaskConfig], list[Task]]
ROWSETS = {entry.name: entry for entry in (*COMMONSENSE, *CHINESE, *TRUTHFUL, GSM8K)}


def _exam(config: TaskConfig) -> list[Task]:
    kind: Answers = "letter" if config.answers == "auto" else config.answers
    folder = Path(config.path or "")
    return [
        read_exam(EXAMS[config.name], folder, config.subjects, config.shots, kind, config.wording,
                  config.dataset)
    ]  # fmt: skip


def _rowset(config: TaskConfig) -> list[Task]:
    entry = ROWSETS[config.name]
    place = Place(config.path or "", config.dataset)
    return [read_rowset(entry, place, config.shots, config.wording, _asked(config, entry.answers))]


def _asked(config: TaskConfig, usual: Answers) -> str:
    if usual == "written" and config.answers != "auto":
        raise InputError(
            f"Answers to {config.name} are written out, there are no options.",
            where="eval.tasks.answers", found=config.answers, fix="leave answers out",
        )  # fmt: skip
    return config.answers


def _agieval(config: TaskConfig) -> list[Task]:
    files, asked = _path(config), (config.wording, config.answers, config.shots)
    return [read_agieval(config.name, files, config.subjects, *asked)]


def _gaokao(config: TaskConfig) -> list[Task]:
    return [read_gaokao(_path(config), config.subjects, config.wording)]


def _bbh(config: TaskConfig) -> list[Task]:
    _asked(config, "written")
    return [read_bbh(_path(config), config.subjects, config.shots, config.wording)]


def _translation(config: TaskConfig) -> list[Task]:
    _asked(config, "written")
    return [read_translation(config.name, config.path or "", config.shots, config.dataset)]


def _worlds(config: TaskConfig) -> list[Task]:
    kind: Answers = "text" if config.answers == "auto" else config.answers
    return read_worlds(outside_files(_path(config), "eval.tasks"), kind)


def _path(config: TaskConfig) -> str:
    """The path of a set that is read from files only."""
    if config.path is None:
        raise InputError(
            f"{config.name} is read from files.", where="eval.tasks", found=config.dataset,
            fix="download it and give its folder as path",
        )  # fmt: skip
    return config.path


READERS: Mapping[str, Read] = {
    **dict.fromkeys(EXAMS, _exam), **dict.fromkeys(ROWSETS, _rowset),
    **dict.fromkeys(AGIEVAL, _agieval), "gaokao": _gaokao, "bbh": _bbh,
    **dict.fromkeys(TRANSLATION, _translation), "worlds": _worlds,
}  # fmt: skip
