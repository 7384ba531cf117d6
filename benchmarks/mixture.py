"""The laws of mixtures on runs that others published: errors, critical shares, regret.

    python benchmarks/mixture.py --published DIR [--draws 200]
    python benchmarks/mixture.py --quick

DIR holds ``data-mixing-laws/`` and ``regmix/``, as their repositories publish them. Laws are
fitted, and chosen, on the first part of the runs; the rest is only scored. Prints tables, and one
line of JSON last.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hanhua.mix.domains import fit_domains
from hanhua.mix.fit import fit
from hanhua.mix.fitted import Fitted
from hanhua.mix.laws import LAWS, anchored
from hanhua.mix.points import Point, Study
from hanhua.mix.trust import rank_correlation

PARTS = (0.3, 0.4, 0.5, 1.0)
RUNS = (32, 64, 128, 512)
SUBSETS = 10
PILE = {
    "Pile-CC": 18.11, "PubMed_Central": 14.40, "Books3": 12.07, "OpenWebText2": 10.01,
    "ArXiv": 8.96, "Github": 7.59, "FreeLaw": 6.12, "StackExchange": 5.13,
    "USPTO_Backgrounds": 3.65, "PubMed_Abstracts": 3.07, "PG19": 2.17, "OpenSubtitles": 1.55,
    "Wikipedia_en": 1.53, "DM_Mathematics": 1.24, "Ubuntu_IRC": 0.88, "BookCorpus2": 0.75,
    "EuroParl": 0.73, "HackerNews": 0.62, "YoutubeSubtitles": 0.60, "PhilPapers": 0.38,
    "NIH_ExPorter": 0.30, "Enron_Emails": 0.14,
}  # fmt: skip
"""Percent of the Pile (arXiv 2101.00027, table 1): the weights of the general loss."""
PYTHON = "starcoder.python.valid"
TARGET_COLUMN = "metric/the_pile_pile_cc_val_loss"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", type=Path, metavar="DIR")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="a made-up study, no files needed")
    options = parser.parse_args()
    if options.quick:
        print(json.dumps({"benchmark": "mixture", "quick": True, **made_up()}))
        return
    if options.published is None:
        parser.error("name the folder of the published runs: --published DIR")
    study = pythia(options.published / "data-mixing-laws" / "continual_70M_pile_python.txt.gz")
    true = critical_measured(study)
    found: dict[str, Any] = {"critical_true": true, "pythia": [], "regmix": []}
    print(f"Critical general share by straight lines between the five last losses: {true:.3f}\n")
    print("| tokens | loss | law | held out | MAE rest | MAE end | critical | 90 % |")
    print("|---|---|---|---|---|---|---|---|")
    for part in PARTS:
        for language in (study.source, study.target):
            for row in score(study, language, part, options.draws):
                found["pythia"].append(row)
                print(line(row))
    found["regmix"] = list(regmix(options.published / "regmix"))
    print("\n| runs | Spearman 1M | 60M | 1B | regret at 60M: mean | most |")
    print("|---|---|---|---|---|---|")
    for row in found["regmix"]:
        cells = " | ".join(f"{value:.3f}" for value in row["spearman"])
        print(f"| {row['runs']} | {cells} | {row['regret']:.4f} | {row['regret_most']:.4f} |")
    print(json.dumps(found))


def made_up() -> dict[str, Any]:
    """A law's own losses with a little noise, fitted again: its error at four times the tokens."""
    rng = np.random.default_rng(0)
    parameters = np.array([-1.5, 4.0, -1.0, -3.0, 0.4])
    shares, tokens = (x.ravel() for x in np.meshgrid([0.3, 0.5, 0.7, 0.9], np.arange(1, 11) / 10))
    clean = 3.0 * anchored(parameters, 1 - shares, tokens)
    losses = clean * (1 + 0.001 * rng.standard_normal(len(clean)))
    points = tuple(
        Point(f"{s:g}", float(s), float(t), {"en": float(x)})
        for s, t, x in zip(shares, tokens, losses, strict=True)
    )
    found = fit(Study("zh", "en", {"en": 3.0}, points), "en", draws=50)
    true = 3.0 * anchored(parameters, np.array([0.4]), np.array([4.0]))
    off = float(abs(found.predict(0.6, 4.0) - true)[0])
    return {"law": found.law, "held_out_error": found.held_out_error, "off_at_four_times": off}


def pythia(path: Path) -> Study:
    """Pythia-70M trained on to Python: five shares, ten moments; target python, source general."""
    rows: dict[tuple[float, int], dict[str, float]] = {}
    with gzip.open(path, "rt") as lines:
        for text in lines:
            model, data, loss = text.split()
            name = data.rsplit("/", 1)[1].removesuffix(".bin").replace("pythia-pile.valid.", "")
            run = re.search(r"ct_\d+-([\d.]+)-[\d.]+/(\d+)$", model)
            key = (float(run[1]), int(run[2])) if run else (-1.0, 0)
            rows.setdefault(key, {})[name] = float(loss)
    points = [
        Point(f"{general}", 1 - general, step, _losses(row))
        for (general, step), row in sorted(rows.items()) if step
    ]  # fmt: skip
    return Study("python", "general", _losses(rows[(-1.0, 0)]), tuple(points))


def _losses(row: dict[str, float]) -> dict[str, float]:
    general = sum(weight * row[name] for name, weight in PILE.items()) / sum(PILE.values())
    return {"general": general, "python": row[PYTHON]}


def critical_measured(study: Study) -> float:
    """The general share at which the last general loss is the base's, between the runs' shares."""
    last = max(point.tokens for point in study.points)
    ends = sorted((p.losses["general"], 1 - p.share) for p in study.points if p.tokens == last)
    return float(np.interp(study.base["general"], *zip(*ends, strict=True)))


def score(study: Study, language: str, part: float, draws: int) -> list[dict[str, Any]]:
    """The chosen law first, then each alone."""
    last = max(point.tokens for point in study.points)
    seen = tuple(point for point in study.points if point.tokens <= part * last)
    rest = [p for p in study.points if p.tokens > part * last or (part == 1 and p.tokens == last)]
    fitted_on = Study(study.target, study.source, study.base, seen)
    rows = []
    for laws in (LAWS, *((law,) for law in LAWS)):
        found = fit(fitted_on, language, draws=draws, laws=laws)
        row: dict[str, Any] = {
            "part": part, "language": language, "law": found.law, "chosen": len(laws) > 1,
            "held_out": found.held_out_error, "rest": error(found, rest, language),
            "end": error(found, [p for p in rest if p.tokens == last], language),
        }  # fmt: skip
        if language == study.source:
            row["critical"], *row["interval"] = critical(found, last)
        rows.append(row)
    return rows


def error(found: Fitted, points: Sequence[Point], language: str) -> float:
    return float(
        np.mean([abs(found.predict(p.share, p.tokens) - p.losses[language]) for p in points])
    )


def critical(found: Fitted, tokens: float) -> tuple[float, float, float]:
    """Least general share that keeps the base's loss, and its 90 % interval."""
    shares = np.linspace(0.05, 0.95, 1801)
    kept = np.concatenate([
        found.predict(shares, tokens)[None], found.predict_draws(shares, tokens)
    ]) <= found.base  # fmt: skip
    general = 1 - np.where(kept, shares, 0.05).max(1)
    return float(general[0]), *(float(q) for q in np.quantile(general[1:], (0.05, 0.95)))


def line(row: dict[str, Any]) -> str:
    name = f"**{row['law']}**, chosen" if row["chosen"] else row["law"]
    at = f"{row['critical']:.3f}" if "critical" in row else ""
    ends = "–".join(f"{end:.3f}" for end in row.get("interval", ()))
    return (
        f"| {row['part']:.0%} | {row['language']} | {name} | {row['held_out']:.4f} | "
        f"{row['rest']:.4f} | {row['end']:.4f} | {at} | {ends} |"
    )


def regmix(folder: Path) -> list[dict[str, Any]]:
    """Order of mixtures foretold from runs of 1M, and the loss lost by following it at 60M."""
    shares, losses = table(folder, "train", "1m")
    tests = [table(folder, "test", size) for size in ("1m", "60m", "1B")]
    rows = []
    for runs in RUNS:
        each = []
        for seed in range(SUBSETS if runs < len(losses) else 1):
            rng = np.random.default_rng(seed)
            taken = rng.permutation(len(losses))[:runs] if seed else np.arange(runs)
            law = fit_domains(shares[taken], losses[taken])
            ranks = [rank_correlation(law.predict(x), y) for x, y in tests]
            x, y = tests[1]
            each.append([*ranks, y[law.predict(x).argmin()] - y.min()])
        mean = np.mean(each, 0)
        rows.append({
            "runs": runs, "spearman": mean[:3].tolist(), "regret": float(mean[3]),
            "regret_most": float(np.max(each, 0)[3]),
        })  # fmt: skip
    return rows


def table(folder: Path, kind: str, size: str) -> tuple[np.ndarray, np.ndarray]:
    """Shares ``[runs, 17]`` and losses on Pile-CC ``[runs]``."""
    mixtures, found = (
        {row["index"]: row for row in csv.DictReader((folder / name).open(encoding="utf-8"))}
        for name in (f"{kind}_mixture_{size}.csv", f"{kind}_pile_loss_{size}.csv")
    )
    keys = [key for key in mixtures if key in found]
    names = [name for name in mixtures[keys[0]] if name != "index"]
    shares = np.array([[float(mixtures[key][name]) for name in names] for key in keys])
    return shares, np.array([float(found[key][TARGET_COLUMN]) for key in keys])


if __name__ == "__main__":
    main()
