"""A quality score learned from the user's own good and bad texts; nothing is downloaded.

Logistic regression over hashed n-grams (features.py): the linear classifier that fastText
made the field's standard (Joulin et al. 2017, https://arxiv.org/abs/1607.01759) and that DCLM (Li
et al. 2024, https://arxiv.org/abs/2406.11794) and CCI 4.0 filter with, without hidden layer.
Trained in seconds with numpy, the same bytes from the same texts and seed. Published pipelines
rank by such a score and sample by rank rather than cut hard: see Scorer.score. The recipe's
``corpus.score`` uses it (text/score.py).
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hanhua.core.errors import InputError
from hanhua.core.files import storage_errors
from hanhua.text.quality.features import BUCKETS, VERSION, features

MIN_TEXTS = 20
"""Fewer texts of a kind teach nothing that a held-out text could confirm."""
MAX_TEXTS = 20_000
"""Texts of a kind that are learnt from; of more, those with the smallest hashes."""
TEXT_CHARS = 2_000
"""Characters that are looked at in training, from a text's beginning."""
EPOCHS = 6
BATCH_TEXTS = 64
LEARNING_RATE = 0.5
WEIGHT_DECAY = 1e-6
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile)
_HELD_OUT = 5
_LONG_GRAMS = 3 * TEXT_CHARS

Weights = npt.NDArray[np.float32]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What a scorer was trained on, and what it got right of texts it never saw.

    Args:
        good: texts it learnt from, of the good.
        bad: texts it learnt from, of the bad.
        held_out_good: good texts that it is measured on.
        held_out_bad: bad texts that it is measured on.
        accuracy: share of right answers, the mean of both kinds, at a score of 0.5.
        auc: chance that a good text scores above a bad one.
        auc_stderr: its standard error (Hanley and McNeil 1982).
        seed: of the order of texts.
        digest: of all texts, in no particular order.
        languages: language -> texts read, good and bad; empty where nobody counted.
    """

    good: int
    bad: int
    held_out_good: int
    held_out_bad: int
    accuracy: float
    auc: float
    auc_stderr: float
    seed: int
    digest: str
    languages: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scorer:
    """Texts to scores.

    Args:
        weights: float32 [BUCKETS].
        bias: added to each text's sum.
        record: how it was trained.
    """

    weights: Weights
    bias: float
    record: TrainingRecord

    def score(self, text: str) -> float:
        """How much a text is like the good ones, from 0 to 1; equal numbers of both gave .5.

        The number ranks texts; it is a probability only for texts like the training ones. CCI 4.0
        and Nemotron-CC sort it into 20 buckets and choose by bucket.
        """
        return score_of(self.log_odds(text))

    def log_odds(self, text: str) -> float:
        """The same on the scale on which evidence adds up, in float32 precision.

        It ranks texts whose scores are all but 1, which no float tells apart.
        """
        return float(np.float32(self.bias + _evidence(self.weights, features(text))))

    def save(self, path: Path) -> None:
        """Write the scorer to one .npz file, the same bytes for the same scorer.

        Raises:
            StorageError: when the disk is full or may not be written to.
        """
        about = json.dumps({"version": VERSION, **asdict(self.record)}, sort_keys=True)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, weights=self.weights, bias=np.float64(self.bias), record=np.array(about)
        )
        aside = path.with_name(f".{path.name}.tmp")
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(buffer.getvalue())
            aside.replace(path)

    @classmethod
    def load(cls, path: Path) -> Scorer:
        """Read a scorer that save wrote.

        Raises:
            InputError: when the file is missing, no scorer, or of another version.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                about = json.loads(str(file["record"]))
                weights, bias = file["weights"], float(file["bias"])
        except _UNREADABLE as error:
            raise InputError(
                "This is no quality scorer.", where=path, found=error,
                fix="train one from good and bad texts",
            ) from error  # fmt: skip
        version = about.pop("version", None)
        if version != VERSION or weights.shape != (BUCKETS,):
            raise InputError(
                "This scorer was made by another version of hanhua.", where=path,
                found=f"version {version}, {len(weights)} weights",
                fix="train it again from its texts",
            )  # fmt: skip
        return cls(weights, bias, TrainingRecord(**about))


def score_of(log_odds: float) -> float:
    """Log odds as a score from 0 to 1."""
    return float(sigmoid(np.asarray(log_odds, dtype=np.float64)))


def train_scorer(good: Iterable[str], bad: Iterable[str], seed: int, where: str = "") -> Scorer:
    """Learn to tell good texts from bad ones; a fifth of both is held out to measure on.

    Texts that occur twice count once, those on both sides do not count. Which are held out depends
    on the text alone, so the same text is never on both sides of the measurement.

    Args:
        good: texts like those wanted.
        bad: texts like those not wanted, from the same kind of source where possible.
        seed: of the order in which texts are seen.
        where: stands before "good" or "bad" in an error.

    Returns:
        A scorer with its record, held-out accuracy and AUC in it.

    Raises:
        InputError: when one side has fewer than MIN_TEXTS different texts.
    """
    sides = [_distinct(texts) for texts in (good, bad)]
    both = set(np.intersect1d(sides[0][1], sides[1][1]).tolist())
    learnt: list[list[str]] = []
    measured: list[list[str]] = []
    for name, (side, _) in zip(("good", "bad"), sides, strict=True):
        keys = sorted(side.keys() - both)
        if len(keys) < MIN_TEXTS:
            raise InputError(
                f"Too few {name} texts to learn a quality score from.", where=where + name,
                found=f"{len(keys)} different texts that are not on both sides",
                fix=f"give at least {MIN_TEXTS}, better some hundreds",
            )  # fmt: skip
        held = {key for key in keys if (key >> 56) % _HELD_OUT == 0} or {keys[0]}
        measured.append([side[key] for key in keys if key in held])
        learnt.append([side[key] for key in keys if key not in held])
    weights, bias = _fit(learnt[0], learnt[1], seed)
    digest = hashlib.sha256(b"/".join(every.tobytes() for _, every in sides)).hexdigest()
    return _measured(weights, bias, learnt, measured, seed, digest)


def _distinct(texts: Iterable[str]) -> tuple[dict[int, str], Hashes]:
    """What is looked at of the MAX_TEXTS texts with the smallest hashes, and the hashes of all.

    Memory stays bounded but for 8 bytes a text.
    """
    found: dict[int, str] = {}
    every = array("Q")
    for text in texts:
        head = text[:TEXT_CHARS]
        if not head.strip():
            continue
        digest = hashlib.sha256(head.encode("utf-8", "surrogatepass")).digest()
        every.append(key := int.from_bytes(digest[:8], "big"))
        found[key] = head
        if len(found) > 2 * MAX_TEXTS:
            found = {key: found[key] for key in sorted(found)[:MAX_TEXTS]}
    kept = {key: found[key] for key in sorted(found)[:MAX_TEXTS]}
    return kept, np.unique(np.frombuffer(every, dtype=np.uint64))


def _fit(good: Sequence[str], bad: Sequence[str], seed: int) -> tuple[Weights, float]:
    """Adagrad over shuffled batches; both kinds weigh the same in all."""
    texts = [*good, *bad]
    labels = np.repeat(np.array([1.0, 0.0]), [len(good), len(bad)])
    importance = np.where(labels == 1.0, len(texts) / len(good), len(texts) / len(bad)) / 2
    weights, squares = np.zeros(BUCKETS), np.full(BUCKETS, 1e-4)
    bias, bias_square = 0.0, 1e-4
    rng = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        for batch in _batches(rng.permutation(len(texts))):
            found = [features(texts[n]) for n in batch]
            scale = np.array([_scale(len(one)) for one in found])
            sums = np.array([weights[one].sum() for one in found])
            error = (sigmoid(bias + scale * sums) - labels[batch]) * importance[batch] / len(batch)
            counts = np.array([len(one) for one in found])
            each = np.repeat(error * scale, counts)
            gradient = WEIGHT_DECAY * weights
            gradient += np.bincount(np.concatenate(found), weights=each, minlength=BUCKETS)
            squares += gradient**2
            weights -= LEARNING_RATE * gradient / np.sqrt(squares)
            bias_square += error.sum() ** 2
            bias -= LEARNING_RATE * error.sum() / np.sqrt(bias_square)
    return weights.astype(np.float32), float(bias)


def _batches(order: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(order), BATCH_TEXTS):
        yield order[start : start + BATCH_TEXTS]


def _scale(grams: int) -> float:
    """A text's features as a vector of about length 1; beyond the training length, their mean."""
    return float(np.sqrt(min(grams, _LONG_GRAMS))) / max(grams, 1)


def _evidence(weights: Weights, found: npt.NDArray[np.uint32]) -> float:
    return _scale(len(found)) * float(weights.take(found).sum(dtype=np.float64))


def sigmoid(value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Log odds as probabilities."""
    answer: npt.NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(value, -40, 40)))
    return answer


def _measured(
    weights: Weights, bias: float, learnt: Sequence[Sequence[str]],
    measured: Sequence[Sequence[str]], seed: int, digest: str,
) -> Scorer:  # fmt: skip
    good, bad = (
        np.array([bias + _evidence(weights, features(text)) for text in side]) for side in measured
    )
    auc = _auc(good, bad)
    record = TrainingRecord(
        good=len(learnt[0]), bad=len(learnt[1]), held_out_good=len(good), held_out_bad=len(bad),
        accuracy=round((float((good > 0).mean()) + float((bad <= 0).mean())) / 2, 4),
        auc=round(auc, 4), auc_stderr=round(_auc_stderr(auc, len(good), len(bad)), 4),
        seed=seed, digest=digest,
    )  # fmt: skip
    return Scorer(weights, bias, record)


def _auc(good: npt.NDArray[np.float64], bad: npt.NDArray[np.float64]) -> float:
    """The share of pairs in which the good one is above; equal ones count half."""
    ordered = np.sort(bad)
    below = np.searchsorted(ordered, good) + np.searchsorted(ordered, good, side="right")
    return float(below.sum()) / (2 * len(good) * len(bad))


def _auc_stderr(auc: float, good: int, bad: int) -> float:
    """Hanley and McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747, equation 2."""
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (good - 1) * (first - auc**2) + (bad - 1) * (second - auc**2)
    return float(np.sqrt(max(spread, 0.0) / (good * bad)))
