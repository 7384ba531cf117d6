"""What a model answers: asked once, judged by fixed rules, compared with the base item by item.

Answers are greedy, so they depend on nothing but the model. Each becomes one line of
``items/answers-<set>.jsonl``; the text of a prompt from the user's files is not among it, only its
id and digest. Shares have Wilson intervals; the change from the base is paired, with McNemar's
exact test, corrected over all that is asked of a model's answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from hanhua.chat.identity import Identity
from hanhua.core.progress import Progress
from hanhua.eval.answers_config import AskedConfig
from hanhua.eval.answers_form import NGRAM, PURE, REPEATS
from hanhua.eval.answers_judge import METRICS, Metric, judge
from hanhua.eval.answers_prompts import VERSION, Prompt
from hanhua.eval.compare import paired_accuracy, proportion, tidy
from hanhua.eval.forward import CausalModel
from hanhua.eval.items import write_lines
from hanhua.eval.many import ALPHA, holm
from hanhua.eval.measured import Bench
from hanhua.eval.refusal import RULES_VERSION
from hanhua.eval.resume import Work, pieces_of
from hanhua.eval.samples import Asked, answer_all, ask_as
from hanhua.eval.verdict import smallest
from hanhua.model.generate import BATCH_ROWS, Sampling

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """How a model is asked, wherever it runs.

    Args:
        answer: texts -> what came of each, in order.
        template: what the texts are asked in; None: they are continued.
        means: what decides an answer beside model and text.
        at_once: texts of one piece of a journal.
    """

    answer: Callable[[Sequence[str]], Sequence[Asked]]
    template: str | None
    means: Mapping[str, Any]
    at_once: int = BATCH_ROWS


def asker_of(model: CausalModel, max_new_tokens: int) -> Asker:
    """A model that is loaded: with a chat template it answers, without it continues the text."""
    sampling, template = ask_as(model, Sampling(max_new_tokens=max_new_tokens))
    return Asker(
        answer=lambda texts: answer_all(model, texts, sampling), template=template,
        means={**asdict(sampling), "stop": list(sampling.stop)},
    )  # fmt: skip


def measure_answers(
    asker: Callable[[int], Asker], prompts: Sequence[Prompt], config: AskedConfig | None,
    bench: Bench,
) -> dict[str, Any] | None:  # fmt: skip
    """Ask, judge, write the items and sum up.

    Args:
        asker: longest answer in tokens -> how the model is asked.
        prompts: what `load_prompts` gave.
        config: the recipe's section.
        bench: where items go, and what they are compared with.

    Returns:
        ``method``, ``sets`` (asked and not asked) and ``metrics``; None without prompts.

    Raises:
        ArtifactError: when the base's items lack a set.
    """
    if config is None or not prompts:
        return None
    ask = asker(config.max_new_tokens)
    own = Identity(config.name.strip(), config.maker.strip())
    sets: dict[str, dict[str, int]] = {}
    metrics: list[dict[str, Any]] = []
    for set_name, group in groupby(prompts, key=lambda prompt: prompt.set):
        work = _work(ask, set_name, list(group))
        said = bench.journals.measure(work, bench.progress)
        rows = [_row(prompt, one, own) for prompt, one in zip(work.items, said, strict=True)]
        write_lines(bench.items / f"{work.name}.jsonl", rows)
        failed = sum("failed" in row for row in rows)
        sets[set_name] = {"asked": len(rows) - failed, "not_asked": failed}
        before = bench.old(f"{work.name}.jsonl")
        metrics += summaries(set_name, rows, before, bench.seed, bench.draws)
    settle_answers(metrics)
    return {"method": _method(config, ask.template), "sets": sets, "metrics": metrics}


def _work(ask: Asker, set_name: str, prompts: Sequence[Prompt]) -> Work[Prompt]:
    """The asking alone: judging is quick, and done anew each time."""

    def compute(some: Sequence[Prompt], progress: Progress) -> list[dict[str, Any]]:
        answers = ask.answer([prompt.text for prompt in some])
        with progress.bar("", None, "") as bar:
            bar.advance(len(some))
        return [{"id": p.id, **asdict(one)} for p, one in zip(some, answers, strict=True)]

    return Work(
        name=f"answers-{set_name}", items=prompts, key=lambda p: p.id,
        content=lambda p: f"{p.id}\1{p.text}", pieces=pieces_of(len(prompts), ask.at_once),
        compute=compute, means=ask.means, unit="prompts",
    )  # fmt: skip


def _row(prompt: Prompt, said: Row, own: Identity) -> Row:
    row: dict[str, Any] = {
        "id": prompt.id, "digest": prompt.digest, "set": prompt.set, "kind": prompt.kind,
        "language": prompt.language,
    }  # fmt: skip
    if prompt.own:
        row["prompt"] = prompt.text
    if failed := said.get("error") or said["failed"]:
        return row | {"failed": failed}
    return row | {
        "answer": said["text"], "finish": said["finish"], "n_tokens": said["n_tokens"],
        **judge(prompt, said["text"], said["finish"], own),
    }  # fmt: skip


def summaries(
    set_name: str, rows: Sequence[Row], base: Sequence[Row] | None, seed: int, draws: int
) -> list[dict[str, Any]]:
    """The metrics of one set, by language.

    Args:
        set_name: whose metrics.
        rows: items.
        base: the base's items on the same prompts; None: no comparison.
        seed: of the bootstrap.
        draws: of the bootstrap.

    Returns:
        rows of metric, set, language, n, yes, value with interval, better, difference, and for
        follow the share by check.
    """
    found = []
    for metric in METRICS:
        if metric.set != set_name:
            continue
        for language in sorted({row["language"] for row in rows}):
            mine = _answers(metric, language, rows)
            if mine:
                before = None if base is None else _answers(metric, language, base)
                found.append(_summary(metric, language, mine, before, seed, draws))
                if metric.mean_of:
                    found[-1][f"mean_{metric.mean_of}"] = _mean(metric.mean_of, language, rows)
                if metric.name == "followed":
                    found[-1]["by_check"] = _by_check(rows, language)
    return found


def settle_answers(metrics: Sequence[dict[str, Any]]) -> None:
    """Correct the p of all differences as one family, and put what n could have shown beside."""
    tested = [score["difference"] for score in metrics if score["difference"]]
    for difference, p in zip(tested, holm([one["p"] for one in tested]), strict=True):
        difference["p_holm"] = tidy(p)
        difference["smallest"] = smallest(difference, ALPHA / len(tested))


def _answers(metric: Metric, language: str, rows: Sequence[Row]) -> dict[str, bool]:
    return {
        row["id"]: bool(row[metric.name])
        for row in rows
        if row["language"] == language and metric.name in row
    }


def _summary(
    metric: Metric, language: str, mine: Mapping[str, bool], before: Mapping[str, bool] | None,
    seed: int, draws: int,
) -> dict[str, Any]:  # fmt: skip
    yes = sum(mine.values())
    row = {
        "metric": metric.name, "set": metric.set, "language": language, "better": metric.better,
        "says": metric.says, "n": len(mine), "yes": yes, **proportion(yes, len(mine)).as_dict(),
        "difference": None,
    }  # fmt: skip
    both = [key for key in mine if before is not None and key in before]
    if before is not None and both:
        difference, gained, lost = paired_accuracy(
            [mine[key] for key in both], [before[key] for key in both], seed, draws
        )
        row["difference"] = {**difference.as_dict(), "gained": gained, "lost": lost}
    return row


def _mean(key: str, language: str, rows: Sequence[Row]) -> float:
    values = [row[key] for row in rows if row["language"] == language and key in row]
    return float(tidy(sum(values) / len(values)))


def _by_check(rows: Sequence[Row], language: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["language"] == language:
            for name, met in row.get("checks", {}).items():
                one = found.setdefault(name, {"n": 0, "met": 0})
                one["n"] += 1
                one["met"] += met
    return dict(sorted(found.items()))


def _method(config: AskedConfig, template: str | None) -> dict[str, Any]:
    return {
        "judge": "rules", "rules": RULES_VERSION, "prompts": VERSION, "template": template,
        "decoding": "greedy", "max_new_tokens": config.max_new_tokens, "name": config.name,
        "mixes_below": PURE, "repeats_above": REPEATS, "repeats_ngram": NGRAM,
        "interval": "95 %, Wilson",
        "difference": "paired; bootstrap interval, McNemar's exact test, Holm over all",
    }  # fmt: skip
