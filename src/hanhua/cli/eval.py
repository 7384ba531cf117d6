"""The command ``eval``: any model measured by the functions that a recipe's run measures by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanhua.cli import app, emit
from hanhua.core.errors import StorageError, UsageError

if TYPE_CHECKING:
    from hanhua.eval.target import Target

ASKED = "model.json"


@app.command(name="eval")
def eval_(
    model: Annotated[
        str, typer.Argument(help="a model or adapter folder, a run, a stage of it, org/name, or "
                            "http://… of an OpenAI-style server, or a GGUF file")
    ],
    out: Annotated[Path, typer.Option(help="the folder to write; the same one goes on after a kill")],  # noqa: E501
    tasks: Annotated[
        str, typer.Option(help="with commas between, e.g. cmmlu,mmlu,bpb,drift,follow,safety")
    ] = "bpb",
    data: Annotated[
        Path | None,
        typer.Option(help="where the tasks' folders lie, by their names; or one task's file"),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="for bpb and drift: zh=FILE (repeatable); left out: found "
                     "under --data as zh.jsonl, held_out/zh.parquet and the like"),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="questions of each task, prompts of each "
                                            "set, language and kind; 0: all")] = 0,
    shots: Annotated[int, typer.Option(min=0, max=5, help="solved examples before each")] = 0,
    docs: Annotated[int, typer.Option(min=2, help="texts of each language")] = 200,
    base: Annotated[
        str | None, typer.Option(help="the untouched model that drift is measured from")
    ] = None,
    adapter_on: Annotated[
        str | None, typer.Option(help="what an adapter was trained on, if it doesn't say")
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="zh=TEXT to continue or answer, for samples.json "
                     "(repeatable)"),
    ] = None,
    contamination: Annotated[
        list[Path] | None,
        typer.Option(help="a ledger.json of corpus, chatdata or prefer (repeatable): questions it "
                     "found in texts are marked, and scores also given without them"),
    ] = None,
    safety: Annotated[
        list[str] | None,
        typer.Option(help="a file of prompts for the task safety (repeatable); harmful=FILE or "
                     "harmless=FILE where it doesn't say what they are"),
    ] = None,
    model_name: Annotated[
        str, typer.Option(help="who the model is to be, for the task identity")
    ] = "",
    model_maker: Annotated[str, typer.Option(help="and who made it")] = "",
    answer_tokens: Annotated[
        int, typer.Option(min=1, help="longest answer of follow, fidelity, identity and safety")
    ] = 128,
    served_model: Annotated[
        str | None, typer.Option(help="of a server with several models")
    ] = None,
    engine_command: Annotated[
        str | None,
        typer.Option(help="for a GGUF file: a Python that has llama-cpp-python[server], or the "
                     "path of llama-server; left out: $HANHUA_LLAMA_PYTHON, else looked for"),
    ] = None,
    engine_args: Annotated[
        str, typer.Option(help='more options of it, as "--n_gpu_layers 99"')
    ] = "",
    source: Annotated[str, typer.Option(help="language that drift is measured in")] = "en",
    seed: Annotated[int, typer.Option(min=0, help="of bootstraps and samples")] = 17,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress")] = False,
    json_: Annotated[bool, typer.Option("--json", help="print one JSON object last")] = False,
) -> None:  # fmt: skip
    """Measure any model: tasks, bits per byte, drift, answers; with n and 95 % intervals.

    OUT gets scores.json, items/ (one line for each question or text) and samples.json. Two such
    folders are compared by `hanhua compare`.
    """
    from hanhua.cli.eval_text import scores_text
    from hanhua.cli.runs import quiet_libraries
    from hanhua.core.progress import default_progress
    from hanhua.eval.find import parse_tasks

    names = parse_tasks(tasks)
    _check(names, data, base, model, safety)
    quiet_libraries()
    options = {"data": data, "text": text or [], "limit": limit, "shots": shots, "docs": docs,
               "prompt": prompt or [], "contamination": contamination or [], "source": source,
               "safety": safety or [], "model_name": model_name, "model_maker": model_maker,
               "answer_tokens": answer_tokens,
               "seed": seed, "device": device, "progress": default_progress(quiet)}  # fmt: skip
    where = _Where(model, base, adapter_on, served_model, out, engine_command, engine_args)
    scores = where.measure(names, options)
    if not json_:
        typer.echo(scores_text(scores))
        typer.echo(f"\nwrote {out} (scores.json has everything)")
    emit({**scores, "out": str(out)}, json_)


def _check(
    names: list[str], data: Path | None, base: str | None, model: str, safety: list[str] | None
) -> None:
    from hanhua.eval.find import ANSWER_SETS, TEXT_MEASURES
    from hanhua.eval.target import is_endpoint

    if "drift" in names and base is None:
        raise UsageError("Drift is measured from a base.", where="--tasks drift",
                         fix="name the untouched model with --base")  # fmt: skip
    if ("safety" in names) != bool(safety):
        raise UsageError(
            "The task safety and its files of prompts go together.", where="--tasks, --safety",
            found=f"--safety {safety[0]}" if safety else "no --safety",
            fix="add safety to --tasks" if safety else "name a file: --safety prompts.csv",
        )  # fmt: skip
    if data is None and set(names) - {*TEXT_MEASURES, *ANSWER_SETS}:
        raise UsageError("It is not known where the tasks lie.", where="--tasks",
                         found=", ".join(names), fix="name their folder with --data")  # fmt: skip
    if (is_endpoint(model) or _gguf(model)) and set(names) & set(TEXT_MEASURES):
        raise UsageError(
            "A server does not tell the probability of every token, so bits per byte and drift "
            "cannot be measured there.", where=_name(model), found=", ".join(names),
            fix="leave bpb and drift out, or evaluate the model's folder"
            + ("; `hanhua quantise` measures them of the GGUF files that it writes"
               if _gguf(model) else ""),
        )  # fmt: skip


class _Where:
    """The model, what it is compared with, and the folder to write."""

    def __init__(
        self, model: str, base: str | None, adapter_on: str | None, served: str | None, out: Path,
        engine_command: str | None, engine_args: str,
    ) -> None:  # fmt: skip
        self.model, self.base, self.adapter_on = model, base, adapter_on
        self.served, self.out = served, out
        self.names: list[str] = []
        self.engine_command, self.engine_args = engine_command, engine_args

    def measure(self, names: list[str], options: dict[str, Any]) -> dict[str, Any]:
        """Measure a folder, a server or a GGUF file."""
        from hanhua.cli.eval_setting import setting_of
        from hanhua.core.artifact import Digests
        from hanhua.eval.evaluate import evaluate
        from hanhua.eval.target import is_endpoint

        self.names = names
        if is_endpoint(self.model):
            from hanhua.eval.endpoint import Endpoint
            from hanhua.eval.evaluate_endpoint import evaluate_endpoint

            endpoint = Endpoint.find(self.model, self.served)
            identity = f"{endpoint.url} {endpoint.model}"
            setting = setting_of(names, options, self.out, identity, "")
            self.claim(identity)
            return evaluate_endpoint(endpoint, setting, self.out)
        if file := _gguf(self.model):
            from hanhua.cli.eval_gguf import measure_gguf

            return measure_gguf(
                file, lambda it: setting_of(names, options, self.out, it, ""), self.out,
                claim=self.claim, program=self.engine_command, more=self.engine_args,
                say=options["progress"].say,
            )  # fmt: skip
        digests = Digests()
        target = find_target(self.model, self.adapter_on)
        from_ = find_target(self.base) if self.base and "drift" in names else None
        identity = target.identity(digests)
        base_identity = from_.identity(digests) if from_ else ""
        setting = setting_of(names, options, self.out, identity, base_identity)
        self.claim(identity)
        return evaluate(
            target.load(setting.device), setting, self.out, name=_name(self.model),
            base=from_.load(setting.device) if from_ else None,
        )  # fmt: skip

    def claim(self, identity: str) -> None:
        """Take the folder for this model.

        Raises:
            StorageError: when it holds something else.
        """
        from hanhua.core.files import read_json, write_json

        path = self.out / ASKED
        if path.is_file():
            there = read_json(path)
            if there.get("identity") != identity:
                raise StorageError(
                    "This folder holds the scores of another model.", where=self.out,
                    found=there.get("model"), fix="choose another --out, or remove the folder",
                )  # fmt: skip
        elif self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise StorageError("This folder holds something else.", where=self.out,
                               fix="choose another --out")  # fmt: skip
        if lost := _measured(self.out) - set(self.names):
            raise StorageError(
                "This folder holds scores of tasks that are not asked now; they would be lost.",
                where=self.out, found=", ".join(sorted(lost)),
                fix="name them in --tasks too (what was measured is kept), or choose another --out",
            )  # fmt: skip
        write_json(path, {"model": _name(self.model), "identity": identity})


def _measured(out: Path) -> set[str]:
    """What the scores in a folder are of, as --tasks names it."""
    from hanhua.core.files import read_json
    from hanhua.eval.find import known_tasks

    path, known = out / "scores.json", known_tasks()
    scores = read_json(path) if path.is_file() else {}
    # a set of one's own goes by its file's name
    found = {t["name"] if t["name"] in known else "worlds" for t in scores.get("tasks") or ()}
    found |= {one["set"] for one in (scores.get("answers") or {}).get("metrics") or ()}
    named = {"bpb": "bits_per_byte", "drift": "drift"}
    return found | {name for name, key in named.items() if scores.get(key)}


def find_target(ref: str, adapter_on: str | None = None) -> Target:
    """A local model by folder, run, stage of a run (``runs/NAME/pretrain``), or hub id."""
    from hanhua.core.config import is_hub_id
    from hanhua.core.run_stage import stages_beside
    from hanhua.eval.adapter import is_adapter
    from hanhua.eval.target import Target
    from hanhua.serve.run import resolve_run

    path = Path(ref)
    if path.is_dir() and is_adapter(path):
        return Target(path, adapter_on)
    if not path.exists() and is_hub_id(ref) and not stages_beside(path):
        return Target(ref)
    return Target(resolve_run(path))


def _gguf(model: str) -> Path | None:
    from hanhua.serve.llama_cpp import find_gguf

    return None if "://" in model else find_gguf(Path(model))


def _name(model: str) -> str:
    from hanhua.eval.target import split_userinfo

    return split_userinfo(model)[0] if "://" in model else Path(model).name or model
