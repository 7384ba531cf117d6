"""As many documents of a language as its share needs, encoded: a seeded shuffle, nothing held.

Each document has a place in a seeded order of the whole corpus, computed from its number. The
first k places are encoded in one pass over the shards, so that reading is in order and each row
group is read once a pass; of a budget far smaller than the corpus, only those documents are
encoded. How many are needed is not known before: the first pass takes what is surely needed (a
token has a byte at least), the next what is then known to be missing, and a little more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hanhua.core.errors import ModelError
from hanhua.core.progress import Bar
from hanhua.tokens.crew import Crew
from hanhua.tokens.encode import DocumentEncoder, batches
from hanhua.tokens.ids_file import Documents, Encoded, IdsFile
from hanhua.tokens.mixture import LOOKAHEAD, fill
from hanhua.tokens.permutation import Permutation
from hanhua.tokens.rows_writer import ids_dtype
from hanhua.tokens.source import Group, read_texts

MARGIN = 1.03
ALMOST_ALL = 0.9
PROCESSES_FROM_BYTES = 16_000_000
"""Less text is encoded before a second process has begun."""


@dataclass(frozen=True, slots=True)
class Job:
    """The documents of a group that have a place from ``low`` up to ``high`` in the order."""

    group: Group
    order: Permutation
    low: int
    high: int

    @property
    def key(self) -> str:
        """Names the job."""
        return f"{self.low}-{self.high}/{self.group.first}"


def encode_group(encoder: DocumentEncoder, vocab_size: int, job: Job) -> Encoded:
    """Read and encode the wanted documents of a group.

    Raises:
        ModelError: when an id has no row in the embedding.
    """
    group = job.group
    places = job.order(np.arange(group.first, group.first + group.documents))
    wanted = np.flatnonzero((places >= job.low) & (places < job.high))
    found = [encoder.encode(batch) for batch in batches(read_texts(group, wanted))]
    ids = np.concatenate([np.zeros(0, np.uint32), *(ids for ids, _ in found)])
    if len(ids) and int(ids.max()) >= vocab_size:
        raise ModelError(
            "The tokenizer has ids that the model has no embedding for.", where="model tokenizer",
            found=f"id {int(ids.max())}, the model has {vocab_size} embeddings",
            fix="use the tokenizer that belongs to the model",
        )  # fmt: skip
    lengths = np.concatenate([np.zeros(0, np.int64), *(lengths for _, lengths in found)])
    return Encoded(ids.astype(ids_dtype(vocab_size)), lengths, places[wanted])


def encode_enough(
    crew: Crew[Job, Encoded], groups: Sequence[Group], file: IdsFile, order: Permutation,
    target: int, bar: Bar,
) -> Documents:  # fmt: skip
    """Encode documents in their seeded order until they fill a budget.

    Args:
        crew: does :func:`encode_group`.
        groups: all of the language.
        file: where the ids go; groups that it has are not encoded again.
        order: of the language's documents.
        target: tokens wanted.
        bar: counts tokens.

    Returns:
        The first documents of the order: enough for :func:`hanhua.tokens.mixture.fill` to end,
        or all.
    """
    n, size = order.n, sum(group.text_bytes for group in groups)
    known, tokens, per_document = 0, 0, max(size / max(n, 1), 1.0)
    while True:
        high = known + max(int((target - tokens) / per_document), 0) + LOOKAHEAD + 1
        high = n if high > ALMOST_ALL * n else high
        jobs = [Job(group, order, known, high) for group in groups]
        jobs = [job for job in jobs if job.key not in file.done]
        results = crew.run(jobs, here=min(size, target - tokens) < PROCESSES_FROM_BYTES)
        for job, encoded in zip(jobs, results, strict=True):
            file.append(job.key, encoded)
            bar.advance(len(encoded.ids))
        documents, known = file.find(high), high
        if known == n or fill(documents.lengths, target).ended:
            return documents
        tokens = int(documents.lengths.sum(dtype=np.int64))
        per_document = tokens / known / MARGIN
