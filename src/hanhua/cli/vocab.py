"""Commands on vocabularies: vocab extend, learn, rows, prune, report, gguf."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hanhua.cli import app, emit
from hanhua.core.errors import UsageError

vocab = typer.Typer(
    name="vocab", help="Give a tokenizer pieces for another language, or take pieces away.",
    rich_markup_mode=None, no_args_is_help=True,
)  # fmt: skip
app.add_typer(vocab)

Base = Annotated[str, typer.Option(help="tokenizer or model: folder, file or hub id")]
Text = Annotated[
    list[str] | None,
    typer.Option("--text", help="text of the target language: files, folders, globs (repeatable; "
                 "more may follow one --text)"),
]  # fmt: skip
Kept = Annotated[
    list[str] | None,
    typer.Option("--text", help="all text whose tokens must stay: files, folders, globs "
                 "(repeatable; more may follow one --text)"),
]  # fmt: skip
Measured = Annotated[
    list[str] | None,
    typer.Option("--text", help="text to measure on: files, folders, globs; once for each, as "
                 "what follows one is a tokenizer (repeatable)"),
]  # fmt: skip
More = Annotated[list[str] | None, typer.Argument(help="more files for --text", show_default=False)]
Check = Annotated[
    list[str] | None,
    typer.Option("--check", help="English or code that must keep its ids (repeatable)"),
]
Out = Annotated[Path, typer.Option(help="the folder to make")]
Target = Annotated[str, typer.Option(help="language of the text")]
Add = Annotated[str, typer.Option(help="pieces to add, or auto")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="any key of the recipe's vocab section: key=value (repeatable)"),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object last")]


@vocab.command()
def extend(
    base: Base, out: Out, more: More = None, text: Text = None, add: Add = "4096",
    check: Check = None, target: Target = "zh", set_: Set = None, quiet: Quiet = False,
    json_: Json = False,
) -> None:  # fmt: skip
    """Learn pieces from text and give the base them: tokenizer files and report.json in OUT."""
    from hanhua.core.progress import default_progress
    from hanhua.vocab.command import extend_tokenizer, summary

    request = _request(base, text, more, check, target, add, set_)
    report = extend_tokenizer(request, out, default_progress(quiet))
    if not json_:
        typer.echo(summary(report))
        typer.echo(f"\nwrote {out} (report.json has everything)")
    emit(report, json_)


@vocab.command()
def learn(
    base: Base, out: Annotated[Path, typer.Option(help="the .jsonl file to write")],
    more: More = None, text: Text = None, add: Add = "4096", target: Target = "zh",
    set_: Set = None, quiet: Quiet = False, json_: Json = False,
) -> None:  # fmt: skip
    """Only list the pieces that `vocab extend` would add, best first, with counts and the curve."""
    from hanhua.core.progress import default_progress
    from hanhua.vocab.choose import as_rows
    from hanhua.vocab.command import learn_pieces, write_learnt

    if out.exists():
        raise UsageError("The file is there already.", where=out, fix="choose another --out")
    request = _request(base, text, more, None, target, add, set_)
    _, _, extended, points = learn_pieces(request, default_progress(quiet))
    write_learnt(out, extended)
    found = {"pieces": len(extended.pieces), "out": str(out), "curve": as_rows(points)}
    if not json_:
        for piece in extended.learnt[:20]:
            typer.echo(f"{piece.count:>10}  {piece.piece}")
        typer.echo(f"wrote {len(extended.pieces)} pieces to {out}")
    emit(found, json_)


@vocab.command()
def rows(
    base: Annotated[str, typer.Option(help="the model that gets the rows: folder or hub id")],
    tokenizer: Annotated[Path, typer.Option(help="a folder that `vocab extend` made from it")],
    out: Out, init: Annotated[
        str, typer.Option(help="how rows start: mean, weighted or random; others need a recipe")
    ] = "mean",
    pad_to: Annotated[int, typer.Option(min=1, help="round the rows up to a multiple")] = 64,
    seed: Annotated[int, typer.Option(help="of the noise")] = 17,
    quiet: Quiet = False, json_: Json = False,
) -> None:  # fmt: skip
    """Give a model the rows that an extended tokenizer needs; weights are streamed, never held."""
    from hanhua.core.files import write_json
    from hanhua.core.progress import default_progress
    from hanhua.model.config import ExpandConfig
    from hanhua.model.rows import expand_model
    from hanhua.recipe import section_from
    from hanhua.vocab.command import begin, finish

    settings = [f"input={init}", f"output={init}", f"pad_to={pad_to}"]
    config = section_from(ExpandConfig, "expand", settings)
    source = resolve(base)
    aside = begin(out)
    found = expand_model(source, tokenizer, aside, config, seed, progress=default_progress(quiet))
    write_json(aside / "rows.json", found)
    finish(aside, out)
    if not json_:
        typer.echo(
            f"{found['old_rows']} rows kept, {found['new_rows']} new, {found['padded_rows']} "
            f"padding; wrote {out}"
        )
    emit(found, json_)


@vocab.command()
def report(
    tokenizers: Annotated[
        list[str], typer.Argument(help="tokenizers to compare: folders, files or hub ids")
    ],
    text: Measured = None, target: Target = "zh",
    max_chars: Annotated[int, typer.Option(min=1, help="characters of each file")] = 400_000,
    json_: Json = False,
) -> None:  # fmt: skip
    """Compare tokenizers: tokens per character and bytes per token on each file of text."""
    from hanhua.vocab.table import compare, table_text
    from hanhua.vocab.texts import find_texts

    found = compare([resolve(t) for t in tokenizers], find_texts(text or [], target), max_chars)
    if not json_:
        typer.echo(table_text(found))
    emit(found, json_)


@vocab.command()
def prune(
    base: Base, out: Out, more: More = None, text: Kept = None,
    others: Annotated[
        list[str] | None, typer.Option("--others", help="text whose loss is to be reported")
    ] = None,
    keep_script: Annotated[
        list[str] | None,
        typer.Option("--keep-script", help="keep every piece of a script: latin, han, cyrillic"),
    ] = None,
    min_count: Annotated[int, typer.Option(min=1, help="drop pieces used less often")] = 1,
    pad_to: Annotated[int, typer.Option(min=1, help="round the model's rows up")] = 64,
    quiet: Quiet = False, json_: Json = False,
) -> None:  # fmt: skip
    """Drop the base's pieces, and a model's rows, that the given text (all to be kept) never uses.

    What the text holds keeps its segmentation exactly; give all languages that matter.
    """
    from hanhua.core.progress import default_progress
    from hanhua.model.prune import prune as prune_folder
    from hanhua.vocab.prune import Keep
    from hanhua.vocab.texts import find_texts

    texts = find_texts([*(text or []), *(more or [])], "und")
    found = prune_folder(
        resolve(base), texts, out, keep=Keep(scripts=tuple(keep_script or ())),
        min_count=min_count, others=find_texts(others, "und", "--others") if others else (),
        pad_to=pad_to, progress=default_progress(quiet),
    )  # fmt: skip
    if not json_:
        typer.echo(_pruned_text(found, out))
    emit(found, json_)


@vocab.command()
def gguf(
    tokenizer: Annotated[str, typer.Argument(help="tokenizer or model: folder, file or hub id")],
    out: Annotated[Path, typer.Option(help="the .gguf file to write")],
    rows: Annotated[
        int | None, typer.Option(min=1, help="rows of the model, if more than the tokenizer's ids")
    ] = None,
    json_: Json = False,
) -> None:  # fmt: skip
    """Write a tokenizer as GGUF metadata that gives llama.cpp the same ids; needs hanhua[gguf]."""
    from hanhua.export.gguf_vocab import write_vocab
    from hanhua.vocab.tokenizer import read_tokenizer

    folder = resolve(tokenizer)
    if out.is_dir():
        raise UsageError("--out names a file.", found=out, fix="end it in .gguf")
    write_vocab(folder, out, rows)
    tokens = read_tokenizer(folder).backend.get_vocab_size()
    if not json_:
        typer.echo(f"{tokens} tokens; wrote {out}")
    emit({"tokens": tokens, "rows": rows or tokens, "file": str(out)}, json_)


def _pruned_text(found: dict[str, Any], out: Path) -> str:
    pieces, kept = found["pieces"], found["kept_text"]
    return (
        f"{pieces['before']} pieces before, {pieces['after']} after; "
        f"{kept['changed_lines']} of {kept['lines_checked']} lines of the text changed\n"
        f"wrote {out} (report.json has everything)"
    )


def _request(
    base: str, text: list[str] | None, more: list[str] | None, check: list[str] | None,
    target: str, add: str, set_: list[str] | None,
) -> Any:  # fmt: skip
    from hanhua.model.facts import rows_cost
    from hanhua.recipe import section_from
    from hanhua.vocab.command import Request
    from hanhua.vocab.config import VocabConfig
    from hanhua.vocab.texts import find_texts

    if add != "auto" and not add.isdigit():
        raise UsageError("--add takes a number or auto.", found=add, fix="e.g. --add 16000")
    config = section_from(VocabConfig, "vocab", [f"add={add}", *(set_ or [])])
    path = resolve(base)
    return Request(
        base=path, texts=find_texts([*(text or []), *(more or [])], target),
        check=find_texts(check, "en", "--check") if check else None, target=target,
        config=config, cost=rows_cost(path),
    )  # fmt: skip


def resolve(reference: str) -> Path:
    """A tokenizer's folder or file: local, of a run, or fetched from a hub."""
    from hanhua.model.load import resolve as find

    path = Path(reference)
    return path if path.is_file() else find(reference)
