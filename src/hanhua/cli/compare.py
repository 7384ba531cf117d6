"""The command ``compare``: what one evaluation gained and lost against another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hanhua.cli import app, emit

Side = Annotated[Path, typer.Argument(help="a folder of `hanhua eval` or an eval stage, or results "
                                      "of lm-evaluation-harness or OpenCompass")]  # fmt: skip
SUBJECTS_SHOWN = 10


@app.command()
def compare(
    old: Side, new: Side,
    json_: Annotated[bool, typer.Option("--json", help="print one JSON object last")] = False,
) -> None:  # fmt: skip
    """Say what NEW gained and lost against OLD, item by item, with intervals and corrected tests.

    Differing prompts, versions, shots or n are warned of. Exit code 0 whatever the verdict.
    """
    from hanhua.eval.contrast import compare_results
    from hanhua.eval.published import read_results

    found = compare_results(read_results(new), read_results(old))
    if not json_:
        typer.echo("\n".join(_lines(found)))
    emit(found, json_)


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    from hanhua.cli.eval_text import table

    yield f"{found['old']['model']} → {found['new']['model']}"
    if found["verdicts"]:
        yield from table([HEAD, *map(_row, found["verdicts"])])
        yield (
            "Intervals are 95 %; p is Holm-corrected over the lines (those of answers by "
            "themselves). ± is the smallest change that this n could have shown (80 % power)."
        )
    else:
        yield "They measured nothing in common, so nothing can be compared."
    for row in found["verdicts"]:
        yield from _subjects(row)
    for warning in found["warnings"]:
        yield f"warning: {warning}"
    for key, which in (("only_old", "old"), ("only_new", "new")):
        if found[key]:
            yield f"measured of the {which} one alone: {', '.join(found[key])}"


HEAD = ("measure", "old", "new", "change", "interval", "n", "p", "verdict")


def _row(row: Mapping[str, Any]) -> Sequence[str]:
    from hanhua.cli.eval_text import between

    change = row["difference"] or {}
    scale, digits, unit = (1, 4, "") if row["unit"] == "bits per byte" else (100, 1, "%")
    told = [row["old_score"]["value"], row["new_score"]["value"]]
    scores = ["–" if v is None else f"{v * scale:.{digits}f}{unit}" for v in told]
    sure = change.get("low") is not None
    p = change.get("p_holm")
    return (
        row["claim"], *scores,
        f"{change['value'] * scale:+.{digits}f}" if change else "–",
        between(change, scale, digits, "+") if sure else "not known",
        f"{change['n']:,}" if change.get("n") else "–",
        "–" if p is None else f"{p:.3f}" if p >= 0.001 else "<0.001", _verdict(row, scale, digits),
    )  # fmt: skip


def _verdict(row: Mapping[str, Any], scale: float, digits: int) -> str:
    from hanhua.eval.verdict import WORDS

    if row["at_chance"]:
        return "no evidence either way (both at chance)"
    words = WORDS[row["verdict"]] + ("" if row["paired"] or not row["verdict"] else ", unpaired")
    least = (row["difference"] or {}).get("smallest")
    if row["verdict"] == "even" and least is not None:
        words += f" (±{least * scale:.{digits}f})"
    return words


def _subjects(row: Mapping[str, Any]) -> Iterator[str]:
    """The subjects and categories that moved, and the score without touched questions."""
    for key in ("by_category", "by_subject"):
        groups = row.get(key) or ()
        moved = [g for g in groups if g["verdict"] in ("gained", "lost")]
        if len(groups) > 1:
            what = "subjects" if key == "by_subject" else "categories"
            yield f"{row['claim']}: of {len(groups)} {what}, {len(moved)} changed (Holm-corrected)"
        for group in sorted(moved, key=lambda g: -abs(g["value"]))[:SUBJECTS_SHOWN]:
            name = group[key.removeprefix("by_")]
            yield f"  {name}: {group['verdict']} {group['value']:+.1%} of {group['n']:,}"
    clean = row.get("untouched")
    if clean and clean.get("difference"):
        from hanhua.cli.eval_text import standing

        yield (f"{row['claim']}: {standing(clean)}; without them {clean['accuracy']:.1%}, "
               f"{clean['difference']['value']:+.1%}")  # fmt: skip
