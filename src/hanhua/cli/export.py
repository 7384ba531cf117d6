"""The command ``export``: a model as a Hugging Face folder, a GGUF file or for Ollama."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hanhua.cli import app, emit
from hanhua.core.errors import UsageError

if TYPE_CHECKING:
    from hanhua.core.artifact import Artifact
    from hanhua.export.command import Exporting

To = Literal["hf", "gguf", "ollama"]
TYPES = {"gguf": "f16", "ollama": "q8_0"}


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(help="a model or adapter folder, a run, a stage of it, or org/name")
    ],
    to: Annotated[To, typer.Option(help="hf: a Hugging Face folder; gguf: one file for llama.cpp; "
                                   "ollama: that with a Modelfile")],
    out: Annotated[Path, typer.Option(help="the folder to make")],
    type_: Annotated[
        str | None, typer.Option("--type", help="of a GGUF file: f32, f16, bf16, q8_0, q5_1, q5_0, "
                                 "q4_1, q4_0, or a k-quant; left out: f16, for Ollama q8_0")
    ] = None,
    licence: Annotated[str, typer.Option(help="named in the card or Modelfile")] = "",
    name: Annotated[str | None, typer.Option(help="of the model; left out: the run's")] = None,
    adapter_on: Annotated[
        str | None, typer.Option(help="what an adapter was trained on, if it doesn't say")
    ] = None,
    llama_cpp: Annotated[
        Path | None, typer.Option(help="llama.cpp's folder, or a Python that has llama-cpp-python")
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="upload it: hf:org/name or modelscope:org/name")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="a new repository is public")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="with --push: only list what would be uploaded")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress")] = False,
    json_: Annotated[bool, typer.Option("--json", help="print one JSON object last")] = False,
) -> None:  # fmt: skip
    """Write a model for others, and prove that it is the same: ids, template, greedy answers."""
    if type_ is not None and to == "hf":
        raise UsageError("--type is of GGUF files.", found=type_,
                         fix="use --to gguf, or `hanhua quantise`")  # fmt: skip
    if (dry_run or public) and push is None:
        raise UsageError("Nothing is to be uploaded.", where="--dry-run or --public",
                         fix="name a place with --push")  # fmt: skip

    from hanhua.cli.runs import quiet_libraries
    from hanhua.core.progress import default_progress
    from hanhua.export.push import Place
    from hanhua.vocab.command import begin, finish

    quiet_libraries()
    place = Place.parse(push) if push else None
    method = _method(type_ or TYPES.get(to, "f16"))
    wanted = _exporting(model, name, licence, adapter_on, llama_cpp, default_progress(quiet))
    aside = begin(out)
    from hanhua.export.command import export_folder, export_gguf

    if to == "hf":
        found = export_folder(wanted, aside)
    else:
        found = export_gguf(wanted, aside, method, ollama=to == "ollama")
    finish(aside, out)
    if place is not None:
        found["push"] = _push(out, place, dry_run, public)
    if not json_:
        typer.echo(export_text(found, out))
    emit({**found, "out": str(out)}, json_)


def _method(name: str) -> Any:
    from hanhua.export.methods import parse_methods

    method = parse_methods(name)[0]
    if method.family not in ("gguf", "k"):
        raise UsageError("This is no type of GGUF file.", where="--type", found=name,
                         fix="use `hanhua quantise` for int8, nf4 and gptq-int4")  # fmt: skip
    return method


def _exporting(
    model: str, name: str | None, licence: str, adapter_on: str | None, llama: Path | None,
    progress: Any,
) -> Exporting:  # fmt: skip
    """The model with what its run says of it."""
    from hanhua.cli.eval import find_target
    from hanhua.cli.merge import Run
    from hanhua.core.artifact import Artifact
    from hanhua.export.command import Exporting
    from hanhua.export.config import ExportConfig
    from hanhua.export.llama_cpp import LlamaCpp

    target = find_target(model, adapter_on)
    run = Run.find(target.folder.resolve())
    paths = {stage: run.stage(stage) for stage in run.ledger.get("stages", {})}
    made = {stage: Artifact.load(path) for stage, path in paths.items() if path}
    return Exporting(
        target=target, name=name or str(run.ledger.get("name") or plain_name(target.folder, model)),
        config=ExportConfig(licence=licence or _licence(run)), llama=LlamaCpp.find(llama),
        artifacts=history(made, target.folder.resolve()),
        languages=(run.language("target", "zh"), run.language("source", "en")), progress=progress,
    )  # fmt: skip


def history(made: Mapping[str, Artifact], folder: Path) -> dict[str, Artifact]:
    """What of a run has to do with one of its models: what it was made of, and their scores.

    A card must not tell of tuning that came after the model that it describes.

    Args:
        made: the run's artifacts by stage.
        folder: of the model.
    """
    own = next(
        (name for name, one in made.items() if folder.is_relative_to(one.path.resolve())), None
    )
    if own is None or own in ("export", "quantise"):
        return dict(made)
    kept, ahead = set(), [own]
    while ahead:
        kept.add(name := ahead.pop())
        inputs = made[name].record["inputs"].values()
        ahead += [one["stage"] for one in inputs if one["stage"] in made.keys() - kept]
    return {
        name: one for name, one in made.items()
        if name in kept or name.removeprefix("eval-") in kept
    }  # fmt: skip


def plain_name(folder: Path, model: str = "") -> str:
    """What to call a model that lies in no run: its folder's name, or its name on a hub.

    Args:
        folder: where it lies; of a hub's model the folder of a commit.
        model: as the user named it.
    """
    if model and not Path(model).exists():
        return model.rpartition("/")[2].partition("@")[0] or model
    folder = folder.resolve()
    return folder.parent.name if folder.name in ("model", "hf") else folder.name


def _licence(run: Any) -> str:
    """As the run's own export stage was told."""
    from hanhua.core.artifact import Artifact

    path = run.stage("export")
    config = Artifact.load(path).record.get("identity", {}) if path else {}
    return str(config.get("licence", ""))


def _push(out: Path, place: Any, dry_run: bool, public: bool) -> dict[str, Any]:
    from hanhua.export.push import manifest, push

    found = manifest(out, place) | {"private": not public, "done": not dry_run}
    if not dry_run:
        found["url"] = push(out, place, private=not public)
    return found


def export_text(found: dict[str, Any], out: Path) -> str:
    """What was written and how far it was compared, for people."""
    proof, lines = found["proof"], []
    if found["to"] == "hf":
        lines.append(f"the same as its source: {proof['lines_compared']} lines, "
                     f"{proof['greedy_tokens_compared']} greedy tokens")  # fmt: skip
    else:
        lines.append(
            f"{proof['tokens_compared']:,} tokens of the vocabulary are the same; logits differ by "
            f"{proof['logits_relative_error']:.2g} of their size; {proof['greedy_same']} of "
            f"{proof['greedy_tokens']} greedy tokens are the same"
        )
        if other := proof.get("llama_cpp"):
            lines.append(
                f"in llama.cpp: {other['lines_same']} of {other['lines']} lines give the same ids, "
                f"{other['greedy_same']} greedy tokens are the same"
            )
        else:
            lines.append("not tried in llama.cpp: it is not here (see --llama-cpp)")
    for name, size in found["files"].items():
        lines.append(f"  {size:>14,}  {name}")
    if pushed := found.get("push"):
        verb = "uploaded" if pushed["done"] else "would upload"
        kind = "private" if pushed["private"] else "public"
        lines.append(f"{verb} {len(pushed['files'])} files, {pushed['bytes']:,} bytes, to "
                     f"{pushed['hub']}:{pushed['repo']} ({kind} if new)")  # fmt: skip
    return "\n".join([*lines, f"wrote {out}"])
