"""Run a recipe and write its dated page: figures with n and intervals, machine, versions, cost.

    python benchmarks/walk.py recipes/stories-zh.yaml --out benchmarks/DATE-stories-zh.md
    python benchmarks/walk.py --quick        # the built-in demo with small budgets

Everything on the page is read from the run's ledger; nothing is typed in.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HANHUA = str(Path(sys.executable).with_name("hanhua"))
QUICK = [
    "--set", "tokens.budget_tokens=60000", "--set", "eval.bits_per_byte.max_docs=20",
    "--set", "chatdata.held_out=10",
]  # fmt: skip


def run(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [HANHUA, *command, "--json"], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def interval(score: dict[str, Any], digits: int = 3) -> str:
    return f"{score['value']:.{digits}f} ({score['low']:.{digits}f}–{score['high']:.{digits}f})"


def page(ledger: dict[str, Any], command: str, weights: str, note: str) -> str:
    machine, summary, stages = ledger["machine"], ledger["summary"], ledger["stages"]
    seconds = sum(stage["seconds"] for stage in stages.values())
    cpu = sum(stage["cpu_seconds"] for stage in stages.values())
    lines = [
        f"# {ledger['name']}, {datetime.date.today().isoformat()}", "",
        f"Command: `{command}`. Seed {ledger['seed']}, one run (n = 1 training run; the intervals"
        " below are over held-out documents or questions, not over seeds).", "",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads. "
        + ", ".join(f"{k} {v}" for k, v in ledger["versions"].items()) + ".", "",
        f"Whole walk: {seconds / 60:.1f} min of wall time, {cpu / 60:.1f} CPU-minutes, peak memory "
        f"{max(s['peak_rss_bytes'] for s in stages.values()) / 2**20:,.0f} MB.", "",
        weights, "",
        *([note, ""] if note else []),
    ]  # fmt: skip
    lines += bits_table(summary) + other_tables(summary) + cost_table(stages)
    return "\n".join(lines) + "\n"


def bits_table(summary: dict[str, Any]) -> list[str]:
    found = summary.get("bits_per_byte") or {}
    languages = sorted({language for scores in found.values() for language in scores})
    lines = ["## Bits per byte on held-out documents (95 % interval)", "",
             "| model | " + " | ".join(languages) + " |",
             "|---" * (len(languages) + 1) + "|"]  # fmt: skip
    for model, scores in found.items():
        cells = [interval(scores[x]) if x in scores else "–" for x in languages]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    first = next(iter(found.values()), {})
    lines.append("")
    lines += [
        f"{x}: n = {s['n_docs']} documents, {s['n_bytes']:,} bytes." for x, s in first.items()
    ]
    return [*lines, ""]


def other_tables(summary: dict[str, Any]) -> list[str]:
    lines = []
    if found := summary.get("tokens_per_char"):
        lines += ["## Tokens per character", "", "| language | before | after |", "|---|---|---|"]
        lines += [f"| {x} | {found['before'][x]:.3f} | {found['after'][x]:.3f} |"
                  for x in sorted(found["after"])] + [""]  # fmt: skip
    if found := summary.get("shares"):
        lines += ["## Shares of tokens", "", "| language | asked | counted |", "|---|---|---|"]
        lines += [f"| {x} | {found['asked'][x]:.2%} | {found['counted'][x]:.3%} |"
                  for x in sorted(found["asked"])] + [""]  # fmt: skip
    return lines + drift_table(summary) + task_table(summary)


def drift_table(summary: dict[str, Any]) -> list[str]:
    found = summary.get("drift") or {}
    if not found:
        return []
    lines = ["## English drift: KL divergence from the untouched base, bits per byte", "",
             "| model | held-out text | text sampled from the base | mass on new pieces |",
             "|---|---|---|---|"]  # fmt: skip
    for model, texts in found.items():
        held, drawn = texts["held_out"], texts["sampled"]
        lines.append(f"| {model} | {interval(held, 4)} | {interval(drawn, 4)} "
                     f"| {held['added_mass']:.2e} |")  # fmt: skip
    return [*lines, "", *(f"{name}: n = {s['n_docs']} texts, {s['n_bytes']:,} bytes."
                          for name, s in texts.items()), ""]  # fmt: skip


def task_table(summary: dict[str, Any]) -> list[str]:
    found = summary.get("tasks") or {}
    if not any(found.values()):
        return []
    lines = ["## Multiple choice", "",
             "| model | task | n | accuracy | standard error | chance | against the base | p |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for model, tasks in found.items():
        for t in tasks:
            d = t.get("difference")
            against = f"{d['value']:+.3f} ({d['low']:+.3f} to {d['high']:+.3f})" if d else "–"
            lines.append(
                f"| {model} | {t['name']} | {t['n']} | {t['accuracy']:.3f} | {t['stderr']:.3f} "
                f"| {t['chance']:.2f} | {against} | {format(d['p'], '.3f') if d else '–'} |"
            )
    first = next(iter(found.values()))
    return [*lines, "", *(f"{t['name']}: {t['metric']}, {t['shots']} shots, {t['template']}."
                          for t in first), ""]  # fmt: skip


def cost_table(stages: dict[str, Any]) -> list[str]:
    lines = [
        "## Cost",
        "",
        "| stage | wall s | CPU s | peak MB | content sha256 |",
        "|---|---|---|---|---|",
    ]
    for name, stage in stages.items():
        lines.append(
            f"| {name} | {stage['seconds']:.1f} | {stage['cpu_seconds']:.1f} | "
            f"{stage['peak_rss_bytes'] / 2**20:,.0f} | `{stage['content_sha256'][:16]}` |"
        )
    return [*lines, ""]


def weights_line(run_dir: Path, ledger: dict[str, Any]) -> str:
    stage = next((s for s in ("finetune", "pretrain") if s in ledger["stages"]), None)
    if stage is None:
        return ""
    path = run_dir / ledger["stages"][stage]["path"] / "model" / "model.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"Weights ({stage}, not in the repository): model.safetensors, sha256 `{digest}`."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", help="a recipe; the built-in demo when left out")
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--out", help="where to write the page; printed when left out")
    parser.add_argument("--note", default="", help="what a reader must know of this run")
    parser.add_argument("--quick", action="store_true", help="the demo with small budgets")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        runs = aside if given.quick else given.runs
        what = ["run", given.recipe] if given.recipe else ["demo"]
        ledger = run([*what, "--runs", runs, *(QUICK if given.quick else [])])
        weights = weights_line(Path(runs) / ledger["name"], ledger)
        text = page(ledger, "hanhua " + " ".join(what), weights, given.note)
    if given.out:
        Path(given.out).write_text(text, encoding="utf-8")
    else:
        print(text)
    print(json.dumps({"name": ledger["name"], **ledger["summary"]}, ensure_ascii=False))


if __name__ == "__main__":
    main()
