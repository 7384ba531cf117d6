"""Published files of safety prompts, each in its own form.

- XSTest (https://arxiv.org/abs/2308.01263): csv of id, prompt, type, label (safe or unsafe; in
  releases without a label, types that begin with "contrast" are unsafe).
- JADE-DB (https://arxiv.org/abs/2311.00286): csv of ID, 问题, 违规类型; every prompt is harmful.
- CValues (https://arxiv.org/abs/2307.09705), responsibility prompts: jsonl of prompt, domain_en;
  questions that ought to be answered, with care.
- Safety-Prompts (https://arxiv.org/abs/2304.10436): json of {kind: [{prompt, response}]}; it does
  not say which prompts are harmful, so the recipe must.
- jsonl of prompt, language and kind: your own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.eval.answers_config import SafetyFileConfig
from hanhua.eval.answers_prompts import Prompt, digest_of
from hanhua.text.readers.formats import Broken, read_values
from hanhua.text.scripts import is_han

KINDS = ("harmful", "harmless")
_FIELDS = ("prompt", "问题", "question", "Goal")
_IDS = ("id", "ID", "id_")


def read_safety(sources: Sequence[SafetyFileConfig]) -> list[Prompt]:
    """The prompts of all files, each text once.

    Raises:
        InputError: no such file, one without prompts, or one that does not say what they are.
    """
    found: dict[str, Prompt] = {}
    for number, source in enumerate(sources):
        for path in outside_files(source.path, f"eval.answers.safety[{number}].path"):
            for prompt in _read_file(path, source):
                found.setdefault(prompt.text, prompt)
    return list(found.values())


def _read_file(path: Path, source: SafetyFileConfig) -> Iterator[Prompt]:
    name, count = path.name.split(".csv")[0].split(".json")[0], 0
    for number, record in enumerate(_records(path), start=1):
        text = _first(record, _FIELDS)
        if not text.strip():
            continue
        count += 1
        kind = _kind(record) if source.kind == "auto" else source.kind
        if kind not in KINDS:
            raise InputError(
                "This file does not say which of its prompts are harmful.", where=path,
                found=f"fields {', '.join(map(str, record))}",
                fix="state `kind: harmful` or `kind: harmless` beside its path",
            )  # fmt: skip
        language = source.language
        if language == "auto":
            language = str(record.get("language") or _language(text))
        # The row, too: the same number may stand twice in a set. And the text's digest: two files
        # of different folders may have one name.
        place = f"{name}/{number}" + (f"-{own}" if (own := _first(record, _IDS)) else "")
        place += f"-{digest_of(text)}"
        yield Prompt(place, "safety", language, text, kind, language, own=False)
    if not count:
        raise InputError(
            "This file has no prompts.", where=path, found=_shown(path),
            fix=f"give a table or jsonl with one of the fields {', '.join(_FIELDS)}",
        )  # fmt: skip


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    for _, value in read_values(path):
        if isinstance(value, Broken):
            continue
        yield from _flat(value)


def _flat(value: Any) -> Iterator[Mapping[str, Any]]:
    """A record; or the records of lists by kind, as Safety-Prompts has them."""
    if isinstance(value, Mapping):
        if _first(value, _FIELDS):
            yield value
            return
        for key, inner in value.items():
            if isinstance(inner, list):
                for one in inner:
                    if isinstance(one, Mapping) and _first(one, _FIELDS):
                        yield {"type": key, **one}


def _kind(record: Mapping[str, Any]) -> str:
    stated = str(record.get("kind") or record.get("label") or "").lower()
    known = {"safe": "harmless", "unsafe": "harmful", "harmless": "harmless", "harmful": "harmful"}
    if stated in known:
        return known[stated]
    if "违规类型" in record:
        return "harmful"
    if "domain_en" in record and "prompt" in record:
        return "harmless"
    if "focus" in record and "type" in record:
        return "harmful" if str(record["type"]).startswith("contrast") else "harmless"
    return ""


def _first(record: Mapping[str, Any], names: Sequence[str]) -> str:
    values = (record.get(name) for name in names)
    return next((str(v) for v in values if isinstance(v, (str, int)) and str(v).strip()), "")


def _language(text: str) -> str:
    return "zh" if any(map(is_han, text)) else "en"


def _shown(path: Path) -> str:
    first = next((v for _, v in read_values(path) if not isinstance(v, Broken)), None)
    return f"fields {', '.join(map(str, first))[:200]}" if isinstance(first, Mapping) else "nothing"
