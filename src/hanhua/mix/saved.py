"""What a small run's saved model measures, where that is not the model that was trained.

With ``pretrain.average`` a mean of many steps' weights is saved, and the log of the training is of
the last step's. What the large run will leave is such a mean, so it is what a law should know of.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hanhua.core.artifact import Artifact
from hanhua.core.config import Machine
from hanhua.core.walk import FOLDER_DIGITS
from hanhua.mix.domain_corpus import kept_losses
from hanhua.text.shards import read_language
from hanhua.train.config import WatchConfig

HERE = Machine()
"""This machine as it is, with its GPU if it has one."""


def saved_losses(
    pretrain: Path, watch: WatchConfig, languages: Iterable[str], machine: Machine
) -> tuple[dict[str, float], dict[str, float]]:
    """Bits per byte of the model before the first step, and of the one that was saved.

    Both are measured by the evaluation, each once: the training's own figures, in its arithmetic,
    differ in the third digit.

    Args:
        pretrain: the artifact of the training; what it read lies beside it.
        watch: how much of the held-out text.
        languages: to measure.
        machine: to measure on.
    """
    from hanhua.eval.bits_per_byte import choose
    from hanhua.train.parallel import device_of

    inputs = Artifact.load(pretrain).record["inputs"]
    corpus, start = (
        pretrain.parent / f"{one['stage']}-{one['fingerprint'][:FOLDER_DIGITS]}"
        for one in (inputs["corpus"], inputs["model"])
    )
    docs, chars = watch.docs, watch.max_chars_per_doc
    texts = {
        name: choose(list(read_language(corpus, name, "held_out")), docs, chars)
        for name in languages
    }
    base, end = (
        kept_losses(
            pretrain.parent / "saved-losses" / f"{folder.name}-{docs}-{chars}.json",
            folder / "model", texts, device_of(machine),
        )
        for folder in (start, pretrain)
    )  # fmt: skip
    return base, end
