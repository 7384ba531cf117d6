"""Two evaluations against each other: what was gained, what was lost, and what may not be said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hanhua.eval.compare import tidy
from hanhua.eval.paired import accuracy_change, bits_change, by_group, untouched
from hanhua.eval.published import Measured, Results
from hanhua.eval.unpaired import unpaired_change
from hanhua.eval.verdict import Claim, settle

SEED, DRAWS = 17, 2000
FEW = 0.9
"""With a smaller share of shared items it is said how many there are."""


def compare_results(new: Results, old: Results) -> dict[str, Any]:
    """Compare what both measured: ``new`` minus ``old``.

    Items that both have are compared pairwise. Where there are none, two scores are compared as
    if of different items: the interval is wider, and it is said.

    Returns:
        ``old`` and ``new`` (tool, model), ``verdicts`` (see `hanhua.eval.verdict.settle`, with
        both scores, whether it was ``paired``, and changes by subject), ``warnings``, and
        ``only_old`` and ``only_new``, what just one of them measured.
    """
    both = [name for name in new.measured if name in old.measured]
    found = [_change(new.measured[name], old.measured[name]) for name in both]
    claims = [
        Claim(name=name, language=new.measured[name].language or old.measured[name].language,
              unit=one["unit"], difference=one["difference"], at_chance=one["at_chance"],
              better=new.measured[name].better)
        for name, one in zip(both, found, strict=True)
    ]  # fmt: skip
    rows = [{**one, **row} for one, row in zip(found, _settled(claims), strict=True)]
    warnings = [*_overall(new, old), *_together((n, w) for n in both for w in _unlike(new, old, n))]
    return {
        "old": _who(old), "new": _who(new), "verdicts": rows, "warnings": warnings,
        "only_old": sorted(set(old.measured) - set(new.measured)),
        "only_new": sorted(set(new.measured) - set(old.measured)),
    }  # fmt: skip


def _settled(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """What models know and what they answer: two families of claims, in the order given."""
    found: dict[str, dict[str, Any]] = {}
    for answers in (False, True):
        family = [claim for claim in claims if (claim.unit == "share") is answers]
        found |= {row["claim"]: row for row in settle(family)}
    return [found[claim.name] for claim in claims]


def _together(warnings: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The same warning of several measures said once."""
    names: dict[str, list[str]] = {}
    for name, text in warnings:
        names.setdefault(text, []).append(name)
    for text, (first, *others) in names.items():
        yield f"{first}{f' and {len(others):,} more' if others else ''}: {text}"


def _who(results: Results) -> dict[str, str]:
    return {"tool": results.tool, "model": results.model, "path": str(results.path)}


def _change(new: Measured, old: Measured) -> dict[str, Any]:
    """One task's or language's scores and difference."""
    difference, more = None, {}
    if new.items and old.items:
        if new.unit != "bits per byte":
            difference = accuracy_change(new.items, old.items, SEED, DRAWS)
            more = _more(new, old) if difference else {}
        else:
            difference = bits_change(new.items, old.items, SEED, DRAWS)
    paired = difference is not None
    if difference is None:
        difference = unpaired_change(new, old)
    return {
        "unit": new.unit, "old_score": _score(old), "new_score": _score(new), "paired": paired,
        "difference": difference, "at_chance": _at_chance(new, old), **more,
    }  # fmt: skip


def _score(one: Measured) -> dict[str, Any]:
    return {"value": one.value, "n": one.n, "stderr": one.stderr and tidy(one.stderr)}


def _more(new: Measured, old: Measured) -> dict[str, Any]:
    """By subject and category, and without the questions that training texts held."""
    assert new.items is not None
    assert old.items is not None
    found: dict[str, Any] = {"by_subject": by_group(new.items, old.items)}
    if any("category" in row for row in new.items):
        found["by_category"] = by_group(new.items, old.items, "category")
    if new.touched or old.touched:
        told: dict[str, bool] = {}
        by: dict[str, set[str]] = {}
        for row in (*new.items, *old.items):
            if (held := row.get("contaminated")) is not None:
                told[str(row["id"])] = held or told.get(str(row["id"]), False)
                by.setdefault(str(row["id"]), set()).update(row.get("contaminated_by", ()))
        rows = [
            {**row, "contaminated": told.get(str(row["id"])),
             "contaminated_by": sorted(by.get(str(row["id"]), ()))}
            for row in new.items
        ]  # fmt: skip
        found["untouched"] = untouched(rows, old.items, SEED, DRAWS)
    return found


def _at_chance(new: Measured, old: Measured) -> bool:
    """Whether neither is clear of guessing, where chance is known."""
    chance = new.chance if new.chance is not None else old.chance
    if chance is None or new.unit != "accuracy":
        return False
    pairs = [(one.value, one.stderr) for one in (new, old)]
    return all(v is not None and s is not None and v <= chance + 1.96 * s for v, s in pairs)


def _overall(new: Results, old: Results) -> Iterator[str]:
    """What differs in everything that the two measured."""
    if new.tool != old.tool:
        yield (f"measured by two tools, {old.tool} and {new.tool}: the same model can stand many "
               "points apart in two tools")  # fmt: skip
        return
    for key in sorted(set(new.facts) | set(old.facts)):
        if new.facts.get(key) != old.facts.get(key):
            yield f"{key} differs: {old.facts.get(key)} and {new.facts.get(key)}"


def _unlike(new: Results, old: Results, name: str) -> Iterator[str]:
    """What differs in how one task was asked."""
    a, b = old.measured[name], new.measured[name]
    for key in sorted(set(a.facts) & set(b.facts)):
        if a.facts[key] != b.facts[key]:
            yield f"{key} differs: {_short(a.facts[key])} and {_short(b.facts[key])}"
    if a.n and b.n and a.n != b.n:
        yield f"n differs: {a.n:,} and {b.n:,}"
    if a.items and b.items:
        yield from _unlike_items(a, b)
    elif a.stderr is None or b.stderr is None:
        yield "neither items to pair nor n, so there is no interval and no verdict"
    else:
        yield "no items to pair, so the interval is that of two independent samples"


def _unlike_items(a: Measured, b: Measured) -> Iterator[str]:
    old = {str(row["id"]): row for row in a.items or ()}
    new = {str(row["id"]): row for row in b.items or ()}
    shared = old.keys() & new.keys()
    if not shared:
        yield "no item is in both, so they are compared as two independent samples"
    elif len(shared) < FEW * max(len(old), len(new)):
        yield f"only {len(shared):,} items are in both"
    other = sum(_prompt(old[k]) != _prompt(new[k]) for k in shared
                if _prompt(old[k]) and _prompt(new[k]))  # fmt: skip
    if other:
        yield f"{other:,} of {len(shared):,} prompts differ"
    for side, rows in (("old", old), ("new", new)):
        if failed := sum("error" in row for row in rows.values()):
            yield f"{failed:,} items of the {side} one failed and are in no pair"


def _prompt(row: Mapping[str, Any]) -> Any:
    return row.get("prompt")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
