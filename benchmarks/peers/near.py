"""Near-duplicates: every tool on the same planted text, against exact truth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus_planted import Planted, Text, plant, write_jsonl
from peers.done import Done, figures
from peers.measure import HERE, Usage, measure, script
from peers.truth import Pairs, jaccard, true_pairs

NEAR: dict[str, dict[str, list[str]]] = {
    "datasketch": {"14 bands of 8": [], "20 of 6, verified, OpenCC": ["verified", "folded"]},
    "textdedup": {"characters, 14 of 8": []},
    "datajuicer": {"characters, 14 of 8": []},
    "datatrove": {"cmn_Hani words, 14 of 8": [], "characters, 14 of 8": ["characters"]},
}  # fmt: skip
"""Peer -> how it is set -> arguments of its script."""
TRANSLATED = "traditional (s2twp)"


def near(
    texts: Sequence[Text], peers: Mapping[str, str], part: int, options: Any, work: Path, done: Done
) -> dict[str, Any]:
    """Every tool on the same planted text; hanhua runs beside each of them.

    Args:
        texts: real ones.
        peers: name -> interpreter.
        part: ``texts`` are one in so many, and so are the copies to plant.
        options: quick, seed and cache.
        work: for files.
        done: figures that are there.
    """
    each, least = (20, 60) if options.quick else (600 // part, 200)
    planted = plant(list(texts), each, options.seed, least)
    plain = [text.text for text in planted.texts]
    folded, same = (_truth(plain, fold, options.cache) for fold in (True, False))
    source = work / "planted.jsonl"
    megabytes = write_jsonl(planted.texts, source)

    def run(python: str, peer: str, arguments: Sequence[str]) -> tuple[Usage, dict[str, Any]]:
        removed = work / "removed"
        used = measure([python, script(f"{peer}_near"), str(source), str(removed), *arguments])
        names = set(removed.read_text(encoding="utf-8").splitlines())
        gone = np.array([text.id in names for text in planted.texts])
        return used, score(planted, folded, same, gone)

    used, found = run(HERE, "hanhua", ())
    own, tools = [used], {}
    for name, tool in _tools(peers):

        def make(tool: tuple[str, str, list[str]] = tool) -> dict[str, Any]:
            used, found = run(*tool)
            own.append(run(HERE, "hanhua", ())[0])
            return figures([used], megabytes) | found

        tools[name] = done.figures(f"near {options.seed} {part} {name}", make)
    while not options.quick and len(own) < options.repeat:
        own.append(run(HERE, "hanhua", ())[0])
    return {
        "documents": len(plain), "megabytes": round(megabytes, 1),
        "pairs_50": len(folded.first), "pairs_80": int((folded.jaccard >= 0.8).sum()),
        "tools": {"hanhua": figures(own, megabytes) | found, **tools},
        "jaccard": {
            kind: round(float(np.median([jaccard(plain[a], plain[b]) for a, b in pairs])), 3)
            for kind, pairs in planted.kinds.items()
        },
    }  # fmt: skip


def _tools(peers: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str, list[str]]]]:
    """(name, (interpreter, peer, arguments))."""
    for peer, python in peers.items():
        for how, arguments in NEAR.get(peer, {}).items():
            yield f"{peer}: {how}", (python, peer, arguments)


def _truth(texts: Sequence[str], folded: bool, cache: Path | None) -> Pairs:
    """True pairs, from the cache where it has those of the same texts."""
    digest = hashlib.sha256("\x00".join([str(folded), *texts]).encode()).hexdigest()[:16]
    path = cache / f"truth-{digest}.npz" if cache else None
    if path and path.exists():
        with np.load(path) as saved:
            return Pairs(saved["first"], saved["second"], saved["jaccard"])
    found = true_pairs(texts, folded)
    if path:
        np.savez(path, first=found.first, second=found.second, jaccard=found.jaccard)
    return found


def score(
    planted: Planted, folded: Pairs, plain: Pairs, gone: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """What was found and what was wrong.

    Args:
        planted: the documents.
        folded: true pairs, traditional characters taken to simplified ones.
        plain: the same without that.
        gone: bool [documents].
    """
    partner = np.zeros(len(gone), bool)
    for side in (folded.first, folded.second):
        partner[side[folded.jaccard >= 0.7]] = True
    for pair in planted.kinds.get(TRANSLATED, ()):  # a copy, though its words are others
        partner[list(pair)] = True
    recalls = [
        float((gone[pairs.first] | gone[pairs.second])[pairs.jaccard >= 0.8].mean())
        for pairs in (folded, plain)
    ]
    return {
        "removed": int(gone.sum()), "recall": round(recalls[0], 4),
        "recall_same_characters": round(recalls[1], 4),
        "precision": round(float(partner[gone].mean()), 4),
        "kinds": {kind: round(float(np.mean([gone[a] or gone[b] for a, b in pairs])), 3)
                  for kind, pairs in planted.kinds.items()},
    }  # fmt: skip
