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
    against: Annotated[
        list[str] | None,
        typer.Option("--against", help="evaluation questions; documents that hold one are dropped "
                     "(repeatable)"),
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
    config = _config(files, language, licence, against, held_out_docs, set_)
    machine = Machine(workers=workers, cluster=cluster)
    report = make_corpus(config, out, default_progress(quiet), machine)
    if not json_:
        typer.echo(summary(report))
        typer.echo(f"\nwrote {out}: train/*.parquet, report.json, ledger.json, dropped/")
    emit(report, json_)


def _config(
    files: list[str], language: str, licence: str, against: list[str] | None, held_out_docs: int,
    set_: list[str] | None,
) -> Any:  # fmt: skip
    import json

    from hanhua.recipe import section_from
    from hanhua.text.config import CorpusConfig

    if not files:
        raise UsageError("No file given.", fix="hanhua corpus FILE... --out DIR")
    sources = [
        {"dataset" if file.startswith(("hf:", "ms:")) else "path": file, "language": language,
         "licence": licence}
        for file in files
    ]  # fmt: skip
    settings = [
        f"sources={json.dumps(sources, ensure_ascii=False)}", "allow_unknown_licence=true",
        f"contamination={json.dumps(against or [], ensure_ascii=False)}",
        f"held_out_docs={held_out_docs}",
    ]  # fmt: skip
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
    return "\n".join(lines)
