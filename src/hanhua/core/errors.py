"""The one error tree. Every user error says what, where, what was found and what to do.

HanhuaError
├── UsageError        2   a command line that cannot be carried out
├── RecipeError       3   a recipe that does not read or does not hold together
├── InputError        4   a data file that is missing, broken or empty
├── ModelError        5   a model or tokenizer that cannot be loaded or does not fit
├── MixtureError      6   shares that the corpus cannot fill
├── TrainingError     7   a loss that is not a number, a checkpoint that does not fit
├── StorageError      8   a full disk, no permission
├── ArtifactError     9   an artifact that is not whole
├── DependencyError  10   an optional package that is not installed
├── ServeError       11   a server that cannot start
├── ResourceError    12   memory that ran out
└── GateError        13   a model that breaks a limit of the recipe

Exit code 1 is left for what we did not foresee, 130 for an interrupt.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar


class HanhuaError(Exception):
    """A mistake that the user can mend.

    Args:
        what: one sentence, what is wrong.
        where: file, file:line, recipe key or stage.
        found: the value found there.
        fix: what to do about it, an imperative sentence.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | Path | None = None,
        found: object | None = None,
        fix: str | None = None,
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.found = None if found is None else str(found)
        self.fix = fix
        super().__init__(self.message)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep all that is known on the way from a worker process."""
        return partial(type(self), where=self.where, found=self.found, fix=self.fix), (self.what,)

    @property
    def message(self) -> str:
        """The whole message, one line for each thing known."""
        lines = [self.what]
        rows = (("where", self.where), ("found", self.found), ("do", self.fix))
        lines += [f"  {name + ':':<6} {_short(value)}" for name, value in rows if value]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        """The same as a JSON object, for --json."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "found": self.found,
            "do": self.fix,
            "exit_code": self.exit_code,
        }


def _short(text: str, limit_chars: int = 400) -> str:
    """Keep a message readable when the value found is a whole file."""
    return text if len(text) <= limit_chars else f"{text[:limit_chars]}… ({len(text)} characters)"


class UsageError(HanhuaError):
    """A command line that cannot be carried out."""

    exit_code = 2


class RecipeError(HanhuaError):
    """A recipe that does not read or does not hold together."""

    exit_code = 3


class InputError(HanhuaError):
    """A data file that is missing, broken or empty."""

    exit_code = 4


class ModelError(HanhuaError):
    """A model or tokenizer that cannot be loaded or does not fit."""

    exit_code = 5


class MixtureError(HanhuaError):
    """Shares that the corpus cannot fill."""

    exit_code = 6


class TrainingError(HanhuaError):
    """A loss that is not a number, a checkpoint that does not fit."""

    exit_code = 7


class StorageError(HanhuaError):
    """A full disk, no permission."""

    exit_code = 8


class ArtifactError(HanhuaError):
    """An artifact that is not whole."""

    exit_code = 9


class DependencyError(HanhuaError):
    """An optional package that is not installed."""

    exit_code = 10


class ServeError(HanhuaError):
    """A server that cannot start."""

    exit_code = 11


class ResourceError(HanhuaError):
    """Memory that ran out."""

    exit_code = 12


class GateError(HanhuaError):
    """A model that breaks a limit of the recipe: the run ends, what was made stays."""

    exit_code = 13
