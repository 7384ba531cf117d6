"""The command ``corpus``: raw files to clean shards, with an account of every document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hanhua.cli import app, emit
from hanhua.core.errors import UsageError

_REASONS_SHOWN = 12


@app.command()
def corpus(
    files: Annotated[
        list[str],
        typer.Argument(help="files, folders or globs of raw text; hf:owner/name, ms:owner/name"),
    ],
    out: Annotated[Path, typer.Option(help="the folder to make")],
    language: Annotated[
        str, typer.Option(help="of the text, e.g. zh; auto finds it document by document")
    ] = "auto",
    licence: Annotated[
        str, typer.Option(help="of the text, as its publisher states it; goes into the ledger")
    ] = "unknown",
    text_field: Annotated[
        str | None,
        typer.Option(help="field or column that holds the text, a.b for one inside another; left "
                     "out: looked for"),
    ] = None,
    encoding: Annotated[str, typer.Option(help="of the files, e.g. gb18030")] = "auto",
    against: Annotated[
        list[str] | None,
        typer.Option("--against", help="evaluation questions; documents that hold one are dropped "
                     "(repeatable)"),
    ] = None,
    good: Annotated[
        list[str] | None,
        typer.Option("--good", help="texts like those wanted, to learn a quality score from; "
                     "needs --bad (repeatable)"),
    ] = None,
    bad: Annotated[
        list[str] | None,
        typer.Option("--bad", help="texts like those not wanted (repeatable)"),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="documents with a lower quality score are dropped; "
                     "without it scores are only reported"),
    ] = None,
    held_out_docs: Annotated[
        int, typer.Option(min=0, help="documents a language to keep apart for measuring")
    ] = 0,
    workers: Annotated[int, typer.Option(min=0, help="processes; 0: one a core")] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(help="clean on Daft: a Ray cluster's address, local for Ray here, native "
                     "without Ray"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="any key of the recipe's corpus section: key=value "
                     "(repeatable)"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress")] = False,
    json_: Annotated[bool, typer.Option("--json", help="print report.json last")] = False,
) -> None:  # fmt: skip
    """Clean, deduplicate and account for raw text: shards, report.json, dropped/ in OUT.

    Text whose licence nobody stated is marked unknown here; a recipe refuses it.
    """
    from hanhua.core.config import Machine
    from hanhua.core.progress import default_progress
    from hanhua.stages.corpus import make_corpus

    if licence == "unknown" and not quiet:
        typer.echo("note: no --licence given; the ledger says unknown, and so will a model card",
                   err=True)  # fmt: skip
    score = {"good": good, "bad": bad, "min_score": min_score}
    source = {"language": language, "licence": licence, "encoding": encoding}
    source |= {"text_field": text_field} if text_field else {}
    config = _config(files, source, against, score, held_out_docs, set_)
    machine = Machine(workers=workers, cluster=cluster)
    report = make_corpus(config, out, default_progress(quiet), machine)
    if not json_:
        typer.echo(summary(report))
        typer.echo(f"\nwrote {out}: train/*.parquet, report.json, ledger.json, dropped/")
    emit(report, json_)


def _config(
    files: list[str], source: dict[str, str], against: list[str] | None, score: dict[str, Any],
    held_out_docs: int, set_: list[str] | None,
) -> Any:  # fmt: skip
    import json

    from hanhua.recipe import section_from
    from hanhua.text.config import CorpusConfig

    if not files:
        raise UsageError("No file given.", fix="hanhua corpus FILE... --out DIR")
    sources = [
        {"dataset" if file.startswith(("hf:", "ms:")) else "path": file, **source} for file in files
    ]
    settings = [
        f"sources={json.dumps(sources, ensure_ascii=False)}", "allow_unknown_licence=true",
        f"contamination={json.dumps(against or [], ensure_ascii=False)}",
        f"held_out_docs={held_out_docs}",
    ]  # fmt: skip
    given = {key: value for key, value in score.items() if value or value == 0}
    if given:
        settings.append(f"score={json.dumps(given, ensure_ascii=False)}")
    return section_from(CorpusConfig, "corpus", [*settings, *(set_ or [])])


def summary(report: dict[str, Any]) -> str:
    """A few lines for people: what came in, what stayed, why the rest went."""
    lines = [
        f"{report['documents_in']:,} documents in, {report['documents_kept']:,} kept, "
        f"{report['characters']:,} characters"
    ]
    for language, row in report["languages"].items():
        lines.append(
            f"  {language:<8} {row['documents_in']:>10,} in {row['documents_kept']:>10,} kept "
            f"{row['characters']:>14,} characters"
        )
    dropped = sorted(report["dropped"].items(), key=lambda item: (-item[1], item[0]))
    lines += [f"  dropped  {count:>10,} {reason}" for reason, count in dropped[:_REASONS_SHOWN]]
    if len(dropped) > _REASONS_SHOWN:
        lines.append(f"  dropped  {sum(c for _, c in dropped[_REASONS_SHOWN:]):>10,} other reasons")
    lines += [f"  changed  {count:>10,} {kind}" for kind, count in report["changes"].items()]
    if "score" in report:
        lines += _scores(report["score"])
    return "\n".join(lines)


def _scores(score: dict[str, Any]) -> list[str]:
    """How well the score tells good from bad, and how it spreads by language, in tenths."""
    found = score["scorer"]
    lines = [f"  score    AUC {found['auc']} ± {found['auc_stderr']} on texts held out"]
    for language, row in score["languages"].items():
        pairs = zip(row["histogram"][::2], row["histogram"][1::2], strict=True)
        tenths = " ".join(f"{low + high:,}" for low, high in pairs)
        cut = f", cut at {row['cut']}" if "cut" in row else ""
        lines.append(f"  scored   {row['scored']:>10,} {language}, by tenths: {tenths}{cut}")
    return lines
