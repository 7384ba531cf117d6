"""Verdicts: how often "gained" or "lost" is said of nothing, and which changes are seen.

    python benchmarks/verdicts.py EVAL_A EVAL_B    # two folders of `hanhua eval`
    python benchmarks/verdicts.py --quick          # drawn items, under a minute

False alarms: a model against itself with noise of no effect. Of real items (log-probabilities of
the options of each question, nats of each text) both sides get noise of the same kind, so that
answers change and nothing is better; each simulated comparison is a family of four claims (two
tasks, two languages), judged by the functions that `hanhua eval` and `hanhua compare` judge by.
Power: a true difference as large as the stated smallest change (and half and one and a half of it)
is planted in one claim of the family.

Noise of a question: normal, as large as makes about 15 % of the choices change; "by subject": half
of its variance is shared by a subject's questions, letter by letter. Noise of a text: the real
difference of the two models on some text, per byte, less their mean.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hanhua.eval.compare import proportion
from hanhua.eval.items import read_lines
from hanhua.eval.paired import accuracy_change, bits_change
from hanhua.eval.verdict import Claim, settle

CHANGED = 0.15
DRAWS = 2000
SIZES = {"small": (200, 40), "large": (1000, 200)}
"""Questions of each task, texts of each language."""


@dataclass(frozen=True)
class Pool:
    """Real items: log-probabilities [N, 4], answers [N], subjects; nats per byte, bytes, gaps."""

    logprobs: np.ndarray
    answers: np.ndarray
    subjects: np.ndarray
    rates: np.ndarray
    sizes: np.ndarray
    gaps: np.ndarray

    @property
    def noise(self) -> float:
        """Size of noise that makes about CHANGED of the choices differ."""
        rng = np.random.default_rng(1)
        low, high = 0.0, 20.0
        for _ in range(30):
            middle = (low + high) / 2
            a, b = (self.logprobs + middle * rng.normal(size=self.logprobs.shape) for _ in "ab")
            differ = (a.argmax(1) != b.argmax(1)).mean()
            low, high = (middle, high) if differ < CHANGED else (low, middle)
        return high


def read_pools(a: Path, b: Path) -> list[Pool]:
    """A pool for each language: questions of one task of A, texts of both."""
    found = []
    for task, code in (("cmmlu", "zh"), ("mmlu", "en")):
        rows = [r for r in read_lines(a / "items" / f"{task}.jsonl") if "error" not in r]
        old, new = (
            {r["id"]: r for r in read_lines(x / "items" / f"bits_per_byte-{code}.jsonl")}
            for x in (a, b)
        )
        ids = [key for key in old if key in new]
        sizes = np.array([old[key]["n_bytes"] for key in ids], float)
        nats = [np.array([side[key]["nats"] for key in ids]) / sizes for side in (old, new)]
        found.append(_pool(
            [r["logprobs"] for r in rows], [r["answer"] for r in rows],
            [r["subject"] for r in rows], nats[0], sizes, nats[1] - nats[0],
        ))  # fmt: skip
    return found


def drawn_pools() -> list[Pool]:
    """Items where no evaluation is given: 400 questions of 40 subjects, 80 texts."""
    rng = np.random.default_rng(5)
    return [
        _pool(
            rng.normal(0, 1, (400, 4)), rng.integers(0, 4, 400), [f"s{i % 40}" for i in range(400)],
            rng.normal(1.2, 0.2, 80), rng.integers(200, 4000, 80).astype(float),
            rng.gamma(2.0, 0.01, 80),
        ) for _ in range(2)
    ]  # fmt: skip


def _pool(logprobs: Any, answers: Any, subjects: Any, rates: Any, sizes: Any, gaps: Any) -> Pool:
    centred = np.asarray(gaps) - np.average(gaps, weights=sizes)
    return Pool(np.asarray(logprobs), np.asarray(answers), np.asarray(subjects), rates, sizes,
                centred)  # fmt: skip


def questions(
    pool: Pool, n: int, noise: float, shared: bool, plant: float, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of one task for both sides; of the new one's wrong answers some are made right."""
    at = rng.integers(0, len(pool.answers), n)
    names, subject = np.unique(pool.subjects[at], return_inverse=True)
    sides = []
    for _ in range(2):
        own = rng.normal(size=(n, pool.logprobs.shape[1]))
        if shared:
            own = (own + rng.normal(size=(len(names), own.shape[1]))[subject]) / 2**0.5
        sides.append((pool.logprobs[at] + noise * own).argmax(1) == pool.answers[at])
    old, new = sides
    wrong = max(1e-9, 1 - new.mean())
    new = new | (rng.random(n) < plant / wrong)
    told = names[subject]
    return tuple(
        [{"id": str(i), "subject": str(told[i]), "right": bool(side[i])} for i in range(n)]
        for side in (new, old)
    )  # type: ignore[return-value]


def texts(
    pool: Pool, n: int, plant: float, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of one language for both sides; the new one is `plant` bits per byte better."""
    at = rng.integers(0, len(pool.sizes), n)
    old = pool.rates[at] * pool.sizes[at]
    new = old + (pool.gaps[at] - plant * np.log(2)) * pool.sizes[at]
    return tuple(
        [
            {"id": str(i), "nats": float(side[i]), "n_bytes": float(pool.sizes[at[i]])}
            for i in range(n)
        ]
        for side in (new, old)
    )  # type: ignore[return-value]


def families(
    pools: Sequence[Pool], size: str, count: int, shared: bool, plant: Mapping[str, float],
    seed: int,
) -> Iterator[list[dict[str, Any]]]:  # fmt: skip
    """Simulated comparisons: the verdicts of each."""
    n, n_texts = SIZES[size]
    noises = [pool.noise for pool in pools]
    for trial in range(count):
        rng = np.random.default_rng([seed, trial])
        claims = []
        for pool, noise, code in zip(pools, noises, ("zh", "en"), strict=True):
            name = f"task, {code}"
            new, old = questions(pool, n, noise, shared, plant.get(name, 0.0), rng)
            found = accuracy_change(new, old, trial, DRAWS)
            claims.append(Claim(name=name, language=code, unit="accuracy", difference=found))
            name = f"bits, {code}"
            new, old = texts(pool, n_texts, plant.get(name, 0.0), rng)
            found = bits_change(new, old, trial, DRAWS)
            claims.append(Claim(name=name, language=code, unit="bits per byte", difference=found))
        yield settle(claims)


def share(hits: int, n: int) -> dict[str, Any]:
    """A rate with its Wilson interval."""
    return {"hits": hits, "n": n, **proportion(hits, n).as_dict()}


def alarms(pools: Sequence[Pool], size: str, shared: bool, count: int) -> dict[str, Any]:
    """How often something is said of nothing."""
    rows = list(families(pools, size, count, shared, {}, 11))
    said = [[row["verdict"] != "even" for row in family] for family in rows]
    names = [row["claim"] for row in rows[0]]
    least = {
        name: float(np.median([f[i]["difference"]["smallest"] for f in rows]))
        for i, name in enumerate(names)
    }
    alone = [[row["difference"]["p"] <= 0.05 for row in family] for family in rows]
    return {
        "size": size, "noise": "by subject" if shared else "by item",
        "family": share(sum(map(any, said)), count),
        "uncorrected_family": share(sum(map(any, alone)), count),
        "by_claim": {n: share(sum(f[i] for f in said), count) for i, n in enumerate(names)},
        "smallest": least,
    }  # fmt: skip


def power(
    pools: Sequence[Pool], found: Mapping[str, Any], shared: bool, count: int
) -> list[dict[str, Any]]:
    """How often a planted difference is seen, in parts of the stated smallest change."""
    rows = []
    for claim in ("task, zh", "bits, en"):
        stated = _stated(pools, found, shared, claim)
        for part in (0.5, 1.0, 1.5):
            size = part * stated
            done = list(families(pools, found["size"], count, shared, {claim: size}, 23))
            at = [row["claim"] for row in done[0]].index(claim)
            seen = sum(family[at]["verdict"] == "gained" for family in done)
            rows.append({"size": found["size"], "noise": found["noise"], "claim": claim,
                         "planted": size, "of_smallest": part, "seen": share(seen, count)})  # fmt: skip # noqa: E501
    return rows


def _stated(pools: Sequence[Pool], found: Mapping[str, Any], shared: bool, claim: str) -> float:
    """The change that equals the smallest one stated when it is there (it moves items too)."""
    size = float(found["smallest"][claim])
    for _ in range(4):
        done = list(families(pools, found["size"], 20, shared, {claim: size}, 37))
        at = [row["claim"] for row in done[0]].index(claim)
        size = float(np.median([family[at]["difference"]["smallest"] for family in done]))
    return size


def told(rate: Mapping[str, Any]) -> str:
    return f"{rate['value']:.1%} [{rate['low']:.1%}, {rate['high']:.1%}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("evals", nargs="*", type=Path, help="two folders of hanhua eval")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--count", type=int, default=2000, help="simulated comparisons")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    count = 60 if arguments.quick else arguments.count
    started = time.process_time()
    pools = read_pools(*arguments.evals) if len(arguments.evals) == 2 else drawn_pools()
    settings = [("small", False)] if arguments.quick else [
        ("small", False), ("small", True), ("large", True)
    ]  # fmt: skip
    found: dict[str, Any] = {"python": platform.python_version(), "numpy": np.__version__,
                             "items": [len(p.answers) for p in pools],
                             "texts": [len(p.sizes) for p in pools], "alarms": [], "power": []}  # fmt: skip # noqa: E501
    for size, shared in settings:
        one = alarms(pools, size, shared, count)
        found["alarms"].append(one)
        print(f"{size}, noise {one['noise']}: a false verdict in {told(one['family'])} of {count} "
              f"comparisons (uncorrected: {told(one['uncorrected_family'])})", flush=True)  # fmt: skip # noqa: E501
        for claim, rate in one["by_claim"].items():
            print(f"  {claim}: {told(rate)}; smallest change shown {one['smallest'][claim]:.4f}")
        for row in power(pools, one, shared, max(20, count // 20)):
            found["power"].append(row)
            print(f"  planted {row['of_smallest']} of it in {row['claim']}: seen in "
                  f"{told(row['seen'])}", flush=True)  # fmt: skip
    found["cpu_seconds"] = round(time.process_time() - started, 1)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{found['cpu_seconds']} CPU seconds")


if __name__ == "__main__":
    main()
