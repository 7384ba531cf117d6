"""Items of two evaluators, one against the other."""

from __future__ import annotations

from typing import Any


def hold(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Per task: n, same choices, same scores, largest difference of a log-probability."""
    samples: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for name, items in theirs.items():
        task, _, subject = name.partition("__")
        for item in items:
            samples.setdefault((task, subject, item["doc_id"]), []).append(item)
    found = {}
    for task, items in ours.items():
        whole = any(key[:2] == (task, "all") for key in samples)
        most = max(item["shots"] for item in items)
        fitting = [item for item in items if item["shots"] == most and not item["cut"]]
        pairs = []
        for item in fitting:
            subject, number = item["id"].split("/")
            pairs.append((item, samples[task, "all" if whole else subject, int(number)]))
        found[task] = held(pairs) | {"did_not_fit": len(items) - len(fitting)}
    return found


def held(pairs: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> dict[str, Any]:
    """One task's items, ours and theirs (several where it is read by several rules)."""
    n = len(pairs)
    found = {"n": n, "same_prompts": sum(a["asked"] == bs[0]["asked"] for a, bs in pairs)}
    if "logprobs" not in pairs[0][0]:
        return found | held_written(pairs)
    ones = [(a, bs[0]) for a, bs in pairs]
    scores = [float(a.get("score", a["right"])) for a, _ in ones]
    theirs = [float(b["acc"]) for _, b in ones]
    return found | {
        "same": sum(a["choice"] == likeliest(b["logprobs"]) for a, b in ones),
        "accuracy": [sum(scores) / n, sum(theirs) / n],
        "worst_score": max(abs(x - y) for x, y in zip(scores, theirs, strict=True)),
        "acc_norm": [
            sum(a["likeliest_by_char"] in (a["answer"], *a.get("also", ())) for a, _ in ones) / n,
            sum(b["acc_norm"] for _, b in ones) / n if "acc_norm" in ones[0][1] else None,
        ],
        "worst": max(
            abs(x - y) for a, b in ones for x, y in zip(a["logprobs"], b["logprobs"], strict=True)
        ),
    }  # fmt: skip


def held_written(pairs: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> dict[str, Any]:
    """Answers that were written out."""
    by_rule = [
        (a, {b["filter"].partition("-")[0]: b["exact_match"] for b in bs}) for a, bs in pairs
    ]
    n = len(by_rule)
    if len(pairs[0][1]) == 1:  # read by one rule alone
        scores = [(a["score"] if a["strict"] is None else a["strict"], bs[0]["exact_match"])
                  for a, bs in pairs]  # fmt: skip
        return {
            "same": sum(x == y for x, y in scores),
            "accuracy": [sum(column) / n for column in zip(*scores, strict=True)],
            "same_text": sum(text(bs[0]["text"]) == text(a["text"]) for a, bs in pairs),
        }
    return {
        "same": sum(a["score"] == b["flexible"] for a, b in by_rule),
        "same_strict": sum(a["strict"] == b["strict"] for a, b in by_rule),
        "accuracy": [sum(a["score"] for a, _ in by_rule) / n,
                     sum(b["flexible"] for _, b in by_rule) / n],
        "same_text": sum(text(bs[0]["text"]).startswith(a["text"].strip()) for a, bs in pairs),
    }  # fmt: skip


def text(written: str) -> str:
    return written.strip()


def likeliest(values: list[float]) -> int:
    return values.index(max(values))
