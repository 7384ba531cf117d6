"""The command ``merge``: a trained model and its base in one, and the weights picked by proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hanhua.cli import app, emit
from hanhua.core.errors import UsageError

if TYPE_CHECKING:
    from hanhua.eval.pick_merge import Merging

NewRows = Literal["trained", "start"]


@app.command()
def merge(
    model: Annotated[
        Path, typer.Argument(help="the trained model: a run folder, an artifact or a model folder")
    ],
    out: Annotated[Path, typer.Option(help="the folder to make")],
    base: Annotated[
        str | None, typer.Option(help="what it was trained from; left out: the run's base")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="of the trained model against the base, those to try")
    ] = "0,0.25,0.5,0.75,1",
    wish: Annotated[
        str | None,
        typer.Option(help="how much the base's language may lose, as en+1%; that is the default"),
    ] = None,
    average: Annotated[
        list[Path] | None,
        typer.Option("--average", help="another model of the same shape, averaged with the first "
                     "(repeatable)"),
    ] = None,
    chat: Annotated[
        str | None, typer.Option(help="a chat model of the base, for its chat vector")
    ] = None,
    chat_weights: Annotated[
        str, typer.Option("--chat-weights", help="of the chat vector, those to try")
    ] = "1",
    start: Annotated[
        Path | None,
        typer.Option(help="for --new-rows start, the model that training began with; left out: "
                     "the run's"),
    ] = None,
    new_rows: Annotated[
        NewRows,
        typer.Option("--new-rows", help="rows of tokens that the base lacks; trained: they stay as "
                     "trained; start: they go back to how they began, as other weights to the "
                     "base's"),
    ] = "trained",
    corpus: Annotated[
        Path | None,
        typer.Option(help="a corpus with held-out text, as `hanhua corpus` makes; left out: the "
                     "run's"),
    ] = None,
    target: Annotated[str | None, typer.Option(help="language gained; left out: the run's")] = None,
    source: Annotated[str | None, typer.Option(help="language kept; left out: the run's")] = None,
    docs: Annotated[int, typer.Option(min=2, help="held-out documents of each language")] = 200,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress")] = False,
    json_: Annotated[bool, typer.Option("--json", help="print one JSON object last")] = False,
) -> None:  # fmt: skip
    """Weigh a trained model against its base: less forgetting, without training again.

    Every weight is tried and measured on held-out text; kept is the best in the target language of
    those that keep the base's language as wished. The table is in OUT/merge.json.
    """
    tried = _numbers("--weights", weights)
    chat_tried = _numbers("--chat-weights", chat_weights) if chat else [0.0]
    run = Run.find(model)
    languages = (target or run.language("target", "zh"), source or run.language("source", "en"))
    rise = _rise(wish, languages[1])

    from hanhua.cli.runs import quiet_libraries
    from hanhua.core.progress import default_progress
    from hanhua.eval.pick_merge import pick
    from hanhua.export.merged import finish_merged, merge_text
    from hanhua.vocab.command import begin, finish

    quiet_libraries()
    sources = run.sources([model, *(average or ())], base, start, chat, new_rows)
    merging = _merging(run, sources, languages, corpus, rise, docs, default_progress(quiet))
    aside = begin(out)
    found = pick(merging, tried, chat_tried, aside)
    found = finish_merged(merging, found, aside)
    finish(aside, out)
    if not json_:
        typer.echo(merge_text(found))
        typer.echo(f"\nwrote {out} (merge.json has everything)")
    emit({**found, "out": str(out)}, json_)


def _numbers(option: str, text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
        if not all(0 <= number <= 2 for number in found):
            raise ValueError(text)
    except ValueError as error:
        raise UsageError(
            f"{option} takes numbers from 0 to 2 with commas between.", found=text,
            fix=f"e.g. {option} 0,0.5,1",
        ) from error  # fmt: skip
    return list(dict.fromkeys(found))


def _rise(wish: str | None, source: str) -> float:
    """The share by which a wish lets the source language rise."""
    from hanhua.core.wish import parse_wish

    found = parse_wish(wish or f"{source}+1%")
    if found.kind != "part" or found.language != source or found.rise < 0:
        raise UsageError(
            "Merging keeps to one kind of wish.", where="--wish", found=wish,
            fix=f"say by how many percent the base's language may rise, e.g. {source}+1%",
        )  # fmt: skip
    return found.rise


@dataclass(frozen=True, slots=True)
class Run:
    """The run that a model lies in, if it lies in one.

    Args:
        folder: the run's; the model's where there is no run.
        ledger: of the run; empty where there is none.
    """

    folder: Path
    ledger: Mapping[str, Any]

    @classmethod
    def find(cls, model: Path) -> Run:
        """The run of a run folder (or its name under ``runs/``), an artifact or a model in one."""
        from hanhua.cli.run_folder import read_ledger
        from hanhua.serve.run import RUNS

        for folder in (model, RUNS / model, *model.absolute().parents[:2]):
            if (folder / "ledger.json").is_file():
                return cls(folder, read_ledger(folder))
        return cls(model, {})

    def language(self, which: str, default: str) -> str:
        """A language of the run."""
        return str(self.ledger.get(which, default))

    def stage(self, name: str) -> Path | None:
        """The artifact of a stage; None where the run has none."""
        entry = self.ledger.get("stages", {}).get(name)
        path = self.folder / str(entry["path"]) if entry else None
        return path if path is not None and path.is_dir() else None

    def sources(
        self, trained: Sequence[Path], base: str | None, start: Path | None, chat: str | None,
        new_rows: NewRows,
    ) -> dict[str, Any]:  # fmt: skip
        """Model folders by what they are in the sum.

        Raises:
            UsageError: when the base, or where new rows began, must be named.
            ModelError: when a folder holds no model.
        """
        from hanhua.core.run_stage import stages_beside
        from hanhua.model.load import resolve
        from hanhua.serve.run import resolve_run

        def local(name: str) -> Path:
            here = Path(name).exists() or stages_beside(Path(name))
            return resolve_run(Path(name)) if here else resolve(name)

        found_base = base or self.stage("base")
        found_start = start or self.stage("expand")
        if found_base is None:
            raise UsageError(
                "The base is not known.",
                where=self.folder,
                found="a model outside of a run",
                fix="name what it was trained from with --base",
            )
        if new_rows == "start" and found_start is None:
            raise UsageError(
                "It is not known how the new rows began.", where=self.folder,
                found="no expand stage",
                fix="name that model with --start, or leave --new-rows out",
            )  # fmt: skip
        kept = new_rows == "trained"
        return {
            "trained": [resolve_run(path) for path in trained],
            "base": local(str(found_base)),
            "start": None if kept else resolve_run(Path(str(found_start))),
            "chat": local(chat) if chat else None,
        }


def _merging(
    run: Run, sources: Mapping[str, Any], languages: tuple[str, str], corpus: Path | None,
    max_rise: float, docs: int, progress: Any,
) -> Merging:  # fmt: skip
    """What is merged with the text that it is measured on."""
    import torch

    from hanhua.eval.config import BitsPerByteConfig
    from hanhua.eval.pick_merge import Merging
    from hanhua.text.shards import language_files, read_language

    folder = corpus or run.stage("corpus")
    if folder is None:
        raise UsageError(
            "There is no held-out text to pick a model by.", where=run.folder,
            found="a model outside of a run",
            fix="name a corpus with --corpus; `hanhua corpus --held-out-docs 200` makes one",
        )  # fmt: skip
    documents = {
        language: list(read_language(folder, language, "held_out"))
        for language in languages if language_files(folder, language, "held_out")
    }  # fmt: skip
    return Merging(
        **sources, target=languages[0], source=languages[1], max_rise=max_rise,
        documents=documents, config=BitsPerByteConfig(max_docs=docs), progress=progress,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )  # fmt: skip
