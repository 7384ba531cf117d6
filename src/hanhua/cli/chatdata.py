"""The command ``chatdata``: many instruction formats to one set of conversations, by an account."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hanhua.cli import app, emit
from hanhua.core.errors import UsageError

_ROWS_SHOWN = 12


@app.command()
def chatdata(
    files: Annotated[
        list[str],
        typer.Argument(help="files, folders or globs of instructions; FILE#5000 takes 5,000 "
                       "conversations, FOLDER#NAME a set of its dataset_info.json"),
    ],
    out: Annotated[Path, typer.Option(help="the folder to make")],
    schema: Annotated[
        str, typer.Option(help="the records' format, e.g. alpaca; auto finds it, file by file")
    ] = "auto",
    language: Annotated[
        str, typer.Option(help="of all conversations, e.g. zh; auto tells each by its script")
    ] = "auto",
    licence: Annotated[
        str, typer.Option(help="of the sets, as their publisher states it; goes into the ledger")
    ] = "unknown",
    share: Annotated[
        list[str] | None,
        typer.Option("--share", help="of a language in what is learnt, by bytes of the answers: "
                     "zh=0.5 (repeatable)"),
    ] = None,
    dedup: Annotated[
        str, typer.Option(help="near, exact or none: which repeated questions go")
    ] = "near",
    against: Annotated[
        list[str] | None,
        typer.Option("--against", help="evaluation questions; conversations that hold one are "
                     "dropped (repeatable)"),
    ] = None,
    model_name: Annotated[
        str, typer.Option(help="answers that claim to be another model get this name; without it "
                          "they are dropped")
    ] = "",
    system: Annotated[
        str, typer.Option(help="system text for conversations that have none")
    ] = "",
    template: Annotated[str, typer.Option(help="the chat template to train with")] = "hanhua",
    held_out: Annotated[
        int, typer.Option(min=0, help="conversations a language to keep apart for measuring")
    ] = 0,
    max_chars: Annotated[
        int, typer.Option(min=1, help="longer conversations are cut at a turn")
    ] = 8000,
    seed: Annotated[int, typer.Option(min=0, help="another seed makes other choices")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="any key of the recipe's chatdata section: key=value "
                     "(repeatable)"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress")] = False,
    json_: Annotated[bool, typer.Option("--json", help="print the account as JSON last")] = False,
) -> None:  # fmt: skip
    """Read instruction sets of any known format, clean, deduplicate, balance and account for them.

    Writes train.parquet, held_out.parquet, ledger.json and dropped.jsonl into OUT.
    """
    from hanhua.core.progress import default_progress
    from hanhua.stages.chatdata import make_chatdata

    settings = {
        "shares": _shares(share), "dedup": dedup, "contamination": against or [],
        "model_name": model_name, "system": system, "template": template, "held_out": held_out,
        "max_chars": max_chars,
    }  # fmt: skip
    each = {"schema": schema, "language": language, "licence": licence}
    config = _config(files, each, settings, set_)
    report = make_chatdata(config, out, default_progress(quiet), seed)
    if not json_:
        typer.echo(summary(report))
        typer.echo(f"\nwrote {out}: train.parquet, held_out.parquet, ledger.json, dropped.jsonl")
    emit(report, json_)


def _shares(given: list[str] | None) -> dict[str, float] | None:
    """``zh=0.5`` and so on as a mapping."""
    found: dict[str, float] = {}
    for one in given or ():
        name, _, value = one.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise UsageError(
                "--share wants language=part.", found=one, fix="for example --share zh=0.5"
            ) from None
    return found or None


def _config(
    files: list[str], each: dict[str, str], settings: dict[str, Any], set_: list[str] | None
) -> Any:
    import json

    from hanhua.chat.config import ChatDataConfig
    from hanhua.recipe import section_from

    if not files:
        raise UsageError("No file given.", fix="hanhua chatdata FILE... --out DIR")
    sources = [{"path": file, **each} for file in files]
    given = [f"{key}={json.dumps(value, ensure_ascii=False)}"
             for key, value in {"sources": sources, **settings}.items()]  # fmt: skip
    return section_from(ChatDataConfig, "chatdata", [*given, *(set_ or [])])


def summary(report: dict[str, Any]) -> str:
    """A few lines for people: what came in, in which formats, what stayed, why the rest went."""
    lines = [
        f"{report['records_in']:,} records in, {report['conversations_kept']:,} conversations "
        f"kept, {report['held_out']:,} held out"
    ]
    lines += [
        f"  source   {row['in']:>10,} in {row['kept']:>10,} kept  {row['source']} "
        f"({row['schema']}, {row['licence']})"
        for row in report["sources"]
    ]
    lines += [
        f"  {name:<8} {row['kept']:>10,} kept, {row['share']:.1%} of the answers' bytes"
        for name, row in report["languages"].items()
    ]
    for kind in ("tasks", "domains"):
        if set(report[kind]) - {"unnamed"}:
            lines += _rows(kind[:-1], report[kind])
    lines += _rows("dropped", report["dropped"]) + _rows("changed", report["changed"])
    for kind, both in report["balance"].items():
        for name, share in both["asked"].items():
            counted = both["counted"].get(name, 0)
            lines.append(f"  {kind[:-1]:<8} {counted:>10.1%} of the answers' bytes, {share:.1%} "
                         f"asked: {name}")  # fmt: skip
    if report["quality"]:
        lines.append(f"  quality  {report['quality']['mean_score']:>10.3f} mean score of "
                     f"{report['quality']['scored']:,} conversations")  # fmt: skip
        lines += _rows("signal", report["quality"]["signals"])
    found = report["contamination"]
    if found["status"] == "checked":
        touched = sum(map(len, found["touched"].values()))
        lines.append(f"  against  {found['questions']:>10,} questions, {touched:,} of them found")
    return "\n".join(lines)


def _rows(title: str, counts: dict[str, int]) -> list[str]:
    """The largest counts, and the sum of the others."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"  {title:<8} {count:>10,} {name}" for name, count in ordered[:_ROWS_SHOWN]]
    if len(ordered) > _ROWS_SHOWN:
        lines.append(f"  {title:<8} {sum(c for _, c in ordered[_ROWS_SHOWN:]):>10,} in "
                     f"{len(ordered) - _ROWS_SHOWN} others")  # fmt: skip
    return lines
