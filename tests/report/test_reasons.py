"""Every reason for which a stage drops a record has its words on the page, in both languages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import hanhua
from hanhua.chat import conversation, pairs
from hanhua.chat.quality import SIGNALS
from hanhua.chat.schemas import fields
from hanhua.report.reasons import REASONS, reason
from hanhua.text.quality.rules import RULES

SOURCE = Path(hanhua.__file__).parent


def given_in(path: Path) -> Iterator[str]:
    """The reasons that a module gives to Drop and Broken, as text or by a name of its own."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            for part in ast.walk(node.args[0]) if node.func.id in ("Drop", "Broken") else ():
                value = part.value if isinstance(part, ast.Constant) else None
                value = known.get(part.id) if isinstance(part, ast.Name) else value
                if isinstance(value, str):
                    yield value


def all_given() -> set[str]:
    files = [*(SOURCE / "text").rglob("*.py"), *(SOURCE / "chat").rglob("*.py")]
    found = {name for path in files for name in given_in(path)}
    found |= {rule.reason for rule in RULES} | {f"quality_{name}" for name in SIGNALS}
    for module in (conversation, pairs, fields):
        names = [n for n in vars(module) if n.isupper() and isinstance(vars(module)[n], str)]
        found |= {vars(module)[name] for name in names}
    return found


def test_every_reason_has_words_in_both_languages() -> None:
    given = all_given()
    assert {"near_duplicate", "stretches", "broken_json", "quality_junk", "role_order"} <= given
    assert given - {"quality_"} <= REASONS.keys()
    for name, words in REASONS.items():
        assert any("\u4e00" <= char <= "\u9fff" for char in str(words.zh)), name
        assert len(str(words.zh)) <= 11, name


def test_no_two_rules_read_the_same() -> None:
    """A rule for short stretches was once called repeated parts."""
    for language in ("en", "zh"):
        said = [getattr(reason(rule.reason), language) for rule in RULES]
        assert len(set(said)) == len(said)
    assert reason("of_a_later_version").zh == "of a later version"
