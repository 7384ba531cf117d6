"""The prompts that models answer: ours, in the package, and the user's files of safety prompts.

Of a prompt from a file only its id and a digest go into records and reports: what is harmful is
not copied any further.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from hanhua.eval.answers_config import AskedConfig

VERSION = 1
"""Of our own prompts and of the rules that judge answers; other versions do not compare."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to ask.

    Args:
        id: stable; a set's own number where it has one.
        set: follow, fidelity, identity or safety.
        language: code of the language it is asked in.
        text: what the user says.
        kind: harmful or harmless in safety; else what it is about.
        reply: code of the language that the answer is expected in; empty: any.
        checks: of follow: name of a check and its argument.
        own: whether we wrote it, so that it may be shown.
    """

    id: str
    set: str
    language: str
    text: str
    kind: str = ""
    reply: str = ""
    checks: Mapping[str, Any] = field(default_factory=dict)
    own: bool = True

    @property
    def digest(self) -> str:
        """What names the text without telling it: the beginning of its SHA-256."""
        return digest_of(self.text)


def digest_of(text: str) -> str:
    """The first 16 hex digits of a text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def load_prompts(config: AskedConfig | None) -> list[Prompt]:
    """All prompts that a section asks for, in a fixed order.

    Args:
        config: the section; None: no prompts.

    Raises:
        InputError: for a file of safety prompts that cannot be read.
    """
    if config is None:
        return []
    from hanhua.eval.answers_safety import read_safety

    found: list[Prompt] = []
    for name in dict.fromkeys(config.sets):
        found += read_safety(config.safety) if name == "safety" else built_in(name)
    return _limited([p for p in found if p.language in config.languages], config.limit)


def built_in(name: str) -> list[Prompt]:
    """One of our own sets: follow, fidelity or identity."""
    text = (files("hanhua.eval") / "prompts" / f"{name}.jsonl").read_text(encoding="utf-8")
    rows = map(json.loads, text.splitlines())
    return [
        Prompt(
            row["id"], name, row["language"], row["prompt"], row.get("kind", ""),
            row.get("reply", row["language"]), row.get("checks", {}),
        )
        for row in rows
    ]  # fmt: skip


def _limited(prompts: list[Prompt], limit: int) -> list[Prompt]:
    """The first `limit` of each set, language and kind of safety by hash, in their order."""
    if not limit:
        return prompts
    groups: dict[tuple[str, str, str], list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        kind = prompt.kind if prompt.set == "safety" else ""
        groups[prompt.set, prompt.language, kind].append(prompt)
    kept = {
        id(prompt)
        for group in groups.values()
        for prompt in sorted(group, key=lambda p: (p.digest, p.id))[:limit]
    }
    return [prompt for prompt in prompts if id(prompt) in kept]
