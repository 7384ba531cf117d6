"""Laws of mixtures over model size: on published runs of several sizes, and on runs made up.

    python benchmarks/mixture_size.py --published DIR [--largest 410M] [--studies 40]
    python benchmarks/mixture_size.py --quick

DIR holds ``data-mixing-laws/`` and ``regmix/``, as their repositories publish them. Laws are
fitted to the smaller sizes, to the first half of their tokens or to all; the largest size at the
end of its run is only scored. Prints tables, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hanhua.core.wish import parse_wish
from hanhua.mix.fit import fit
from hanhua.mix.fit_size import fit_sizes
from hanhua.mix.fitted import Fitted
from hanhua.mix.laws import anchored, settling_gain
from hanhua.mix.laws_size import SIZED
from hanhua.mix.points import Point, Study
from hanhua.mix.recommend import recommend
from hanhua.mix.trust import rank_correlation

PARAMETERS = {"70M": 70e6, "160M": 160e6, "305M": 305e6, "410M": 410e6}
DOMAINS = {"ArXiv": 0, "Books3": 1, "EuroParl": 2, "Github": 3, "Pile-CC": 4}
"""A part of the Pile -> the share, in a run's name, of the domain that it belongs to."""
OTHERS = {"PubMed_Abstracts": 0, "PG19": 1, "YoutubeSubtitles": 2, "DM_Mathematics": 3,
          "OpenWebText2": 4}  # fmt: skip
"""Parts that were looked at once, when all was chosen."""
STEPS = {3000, 4000, 6000, 9000, *range(10000, 24001, 2000), 27000, 30000}
"""All runs were measured at these; a few were at others, in some parts only."""
END, SEEN = 30000, 15000
INIT = float(np.log(50304))
"""Loss of a model that knows nothing: of the vocabulary of these runs."""
LEVEL = 0.9
PILE_CC = "train_the_pile_pile_cc", "metric/the_pile_pile_cc_val_loss"
MADE = (70e6, 160e6, 410e6)
ASKED = 1.4e9
BASE = {"zh": 2.0, "en": 0.9}
LONGEST = 6e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", type=Path, metavar="DIR")
    parser.add_argument("--largest", choices=["305M", "410M"], default="410M")
    parser.add_argument("--studies", type=int, default=40, help="made up for each truth")
    parser.add_argument("--quick", action="store_true", help="three made-up studies, no files")
    options = parser.parse_args()
    if options.quick:
        found = made_up("powers", 3, draws=40)
        print(json.dumps({"benchmark": "mixture_size", "quick": True, **found}))
        return
    rows: dict[str, Any] = {"five": [], "made_up": []}
    if options.published is not None:
        folder = options.published / "data-mixing-laws"
        for seen in (SEEN, END):
            print(f"\nFitted to {seen} of {END} steps\n\n{HEAD}")
            for domain in DOMAINS | OTHERS:
                rows["five"].append(five(folder, domain, options.largest, seen))
                print(line(rows["five"][-1]), flush=True)
        rows["regmix"] = regmix(options.published / "regmix")
        print(f"\nRegMix, Pile-CC: {json.dumps(rows['regmix'])}\n")
    for truth_ in TRUTHS:
        rows["made_up"].append(made_up(truth_, options.studies))
        print(json.dumps(rows["made_up"][-1]), flush=True)
    print(json.dumps(rows))


HEAD = (
    "| domain | law | held out | size left out | MAE joint | nearest size | one law for all | "
    "order | in the 90 % interval | its width |\n|---|---|---|---|---|---|---|---|---|---|"
)


def line(row: Mapping[str, Any]) -> str:
    size = "" if row["size_error"] is None else f"{row['size_error']:.4f}"
    return (
        f"| {row['domain']} | {row['law']} | {row['held_out']:.4f} | {size} | {row['joint']:.3f} | "
        f"{row['nearest']:.3f} | {row['no_size']:.3f} | {row['order']:.2f} | "
        f"{row['covered']:.0%} | {row['width']:.2f} |"
    )


def five(folder: Path, domain: str, largest: str, seen: int) -> dict[str, Any]:
    """One domain's loss at the largest size's end, foretold by the smaller ones' first steps."""
    sizes = [size for size in PARAMETERS if PARAMETERS[size] < PARAMETERS[largest]]
    studies = {PARAMETERS[size]: mixtures(folder, size, domain, seen) for size in sizes}
    ends = [p for p in mixtures(folder, largest, domain, END).points if p.tokens == END]
    joint = fit_sizes(studies, domain)
    found = joint.at(PARAMETERS[largest])
    plain = [law for law in SIZED if law.way.name == "nothing"]
    no_size = fit_sizes(studies, domain, draws=8, laws=plain).at(PARAMETERS[largest])
    nearest = fit(studies[PARAMETERS[sizes[-1]]], domain, draws=8)
    true = np.array([p.losses[domain] for p in ends])
    drawn = np.stack([found.predict_draws(p.share, END) for p in ends])
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=1)
    foretold = [float(found.predict(p.share, END)) for p in ends]
    return {
        "domain": domain, "seen": seen, "law": joint.law, "held_out": joint.held_out_error,
        "size_error": joint.size_error, "n": len(ends),
        "joint": off(found, ends, domain), "nearest": off(nearest, ends, domain),
        "no_size": off(no_size, ends, domain), "order": rank_correlation(foretold, true),
        "mean_by": float(np.mean(np.array(foretold) - true)),
        "covered": float(np.mean((low <= true) & (true <= high))),
        "width": float(np.mean(high - low)),
    }  # fmt: skip


def off(found: Fitted, points: Sequence[Point], domain: str) -> float:
    return float(
        np.mean([abs(found.predict(p.share, p.tokens) - p.losses[domain]) for p in points])
    )


def mixtures(folder: Path, size: str, domain: str, until: int) -> Study:
    """One size's runs: loss on a part of the Pile by the share of its domain."""
    points = []
    for (run, step), losses in sorted(losses_of(folder / f"5mix_{size}.txt.gz").items()):
        if step in STEPS and step <= until and domain in losses:
            share = float(run.split("-")[-5:][(DOMAINS | OTHERS)[domain]])
            points.append(Point(run, share, step, {domain: losses[domain]}))
    return Study(domain, "rest", {domain: INIT}, tuple(points))


def losses_of(path: Path) -> dict[tuple[str, int], dict[str, float]]:
    found: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    with gzip.open(path, "rt") as lines:
        for text in lines:
            model, data, loss = text.split()
            run, step = model.rsplit("/", 2)[1:]
            name = data.rsplit(".valid.", 1)[1].removesuffix(".bin")
            found[run.split("_", 1)[1], int(step)][name] = float(loss)
    return found


def regmix(folder: Path) -> dict[str, Any]:
    """What runs of 1M and 60M say of the order of mixtures at 1B: loss on Pile-CC by its share."""
    seen = {size: pile_cc(folder, size) for size in ("1m", "60m", "1B")}
    found: dict[str, Any] = {"n": {size: len(x) for size, (x, _) in seen.items()}}
    for size, (x, y) in seen.items():
        slope = np.polyfit(np.log(x + 0.01), y, 1)[0]
        found[size] = {
            "spearman_of_share": rank_correlation(-x, y), "slope_by_log_share": float(slope),
            "regret_of_most": float(y[x.argmax()] - y.min()), "spread": float(y.std()),
        }  # fmt: skip
    one, other = seen["1m"], seen["60m"]
    found["spearman_1m_60m_same_mixtures"] = rank_correlation(one[1], other[1])
    return found


def pile_cc(folder: Path, size: str) -> tuple[np.ndarray, np.ndarray]:
    def rows(kind: str) -> Iterator[dict[str, str]]:
        with (folder / f"test_{kind}_{size}.csv").open(encoding="utf-8") as file:
            yield from csv.DictReader(file)

    shares = {row["index"]: float(row[PILE_CC[0]]) for row in rows("mixture")}
    losses = {row["index"]: float(row[PILE_CC[1]]) for row in rows("pile_loss")}
    keys = [key for key in shares if key in losses]
    return np.array([shares[key] for key in keys]), np.array([losses[key] for key in keys])


def powers(size: float, seed: int = 0) -> tuple[float, float]:
    """Depth and pace by powers, as the laws have them."""
    return (size / ASKED) ** -0.15, (size / ASKED) ** 0.25


def levelling(size: float, seed: int = 0) -> tuple[float, float]:
    """Neither is a power: what a size changes comes to an end as models grow."""
    return 1 + 0.35 / (1 + size / 3e8), 1 / (1 + 0.6 * (2e8 / size) ** 0.5)


def scattered(size: float, seed: int = 0) -> tuple[float, float]:
    """Powers, but each size is off by some luck of its own (its learning rate, say)."""
    luck = np.random.default_rng((seed, int(size), 1)).normal(0, 0.04)
    depth, pace = powers(size)
    return depth * float(np.exp(luck)), pace


TRUTHS = {"powers": powers, "levelling": levelling, "scattered": scattered}


def truth(name: str, size: float, seed: int, share: Any, tokens: Any) -> dict[str, np.ndarray]:
    depth, pace = TRUTHS[name](size, seed)
    part, share = np.asarray(tokens) / LONGEST * pace, np.asarray(share, float)
    en = anchored(np.array([-2.3, 2.5, -1.5, -4.2, 0.4]), 1 - share, part)
    zh = settling_gain(np.array([-1.0, 0.25, -1.0, 0.4]), share, part)
    by = {name_: base * (size / ASKED) ** -0.06 for name_, base in BASE.items()}
    return {"zh": by["zh"] * (1 + depth**-0.5 * (zh - 1)), "en": by["en"] * (1 + depth * (en - 1))}


def made(name: str, size: float, seed: int) -> Study:
    """Five shares, six moments; runs scattered by 0.1 %, moments by 0.07 % of the loss."""
    rng, points = np.random.default_rng((seed, int(size))), []
    for share in (0.2, 0.4, 0.6, 0.75, 0.9):
        of_run = rng.normal(0, 0.001, 2)
        for at in np.arange(1, 7) / 6 * LONGEST:
            true = truth(name, size, seed, share, at)
            luck = 1 + of_run + rng.normal(0, 0.0007, 2)
            losses = {"zh": float(true["zh"] * luck[0]), "en": float(true["en"] * luck[1])}
            points.append(Point(f"{share}", share, float(at), losses))
    base = {language: float(x) for language, x in truth(name, size, seed, 0.5, 0.0).items()}
    return Study("zh", "en", base, tuple(points))


def made_up(name: str, studies: int, draws: int = 200) -> dict[str, Any]:
    """Three sizes' studies, and what they say of one 3.4 times as large as the largest."""
    wish, grid = parse_wish("en+2%"), np.linspace(0.2, 0.9, 1401)
    rows = []
    for seed in range(studies):
        own = truth(name, ASKED, seed, grid, LONGEST)
        base = {lang: float(x) for lang, x in truth(name, ASKED, seed, 0.5, 0.0).items()}
        best = float(grid[own["en"] <= base["en"] * 1.02].max())
        each = {size: made(name, size, seed) for size in MADE}
        joint = {lang: fit_sizes(each, lang, seed=seed, draws=draws) for lang in BASE}
        at = {lang: one.at(ASKED) for lang, one in joint.items()}
        study = Study("zh", "en", {lang: one.base for lang, one in at.items()},
                      each[MADE[-1]].points)  # fmt: skip
        answer = recommend(study, at, wish, LONGEST)
        near = {lang: fit(each[MADE[-1]], lang, draws=8) for lang in BASE}
        before = recommend(each[MADE[-1]], near, wish, LONGEST)
        true = truth(name, ASKED, seed, answer.share, LONGEST)
        within = [
            answer.predicted_low[lang] <= true[lang] * at[lang].base / base[lang]
            <= answer.predicted_high[lang] for lang in BASE
        ]  # fmt: skip
        rows.append([
            answer.low - 1e-3 <= best <= answer.high + 1e-3, *within, abs(answer.share - best),
            answer.high - answer.low, abs(before.share - best), answer.sure,
        ])  # fmt: skip
    mean = np.mean(np.array(rows, float), 0)
    names = ("share_covered", "zh_covered", "en_covered", "share_off", "share_width",
             "share_off_of_nearest_size", "sure")  # fmt: skip
    return {"truth": name, "studies": studies,
            **{key: round(float(x), 4) for key, x in zip(names, mean, strict=True)}}  # fmt: skip


if __name__ == "__main__":
    main()
