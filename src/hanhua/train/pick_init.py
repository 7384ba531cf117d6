"""Expand a model, and where the recipe says ``auto``, find out how its new rows should start.

Nobody can say beforehand which start is best for a base, a language and a text, and the ranking
after a few steps of training is not the ranking at step 0. So each method expands the base, takes
the same few steps on the same rows, and is measured before and after in bits per byte, on text
held out, in both languages. The target's value after training decides. This needs the model in
memory, as training does; without ``auto`` the weights are only streamed.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hanhua.core.config import Machine
from hanhua.core.errors import InputError
from hanhua.core.progress import Progress
from hanhua.eval.bits_per_byte import choose, score_texts
from hanhua.eval.forward import CausalModel
from hanhua.model.auxiliary import Texts
from hanhua.model.config import ExpandConfig
from hanhua.model.ends import find_ends, open_config
from hanhua.model.load import load_model, load_tokenizer
from hanhua.model.measure_rows import added_mass, fitted_padding
from hanhua.model.rows import expand_model
from hanhua.text.document import Document
from hanhua.text.shards import language_files, read_language
from hanhua.tokens.encode import encode_documents
from hanhua.tokens.loader import Batch
from hanhua.tokens.pack import pack
from hanhua.tokens.rows import Row
from hanhua.train.config import PhaseConfig, TrainConfig
from hanhua.train.objective import check_head, flatten, next_token_loss
from hanhua.train.optim import Masters
from hanhua.train.packed import enable

STEP_TOKENS = 4096
TARGET_SHARE = 0.7
"""Of the tokens of a trial step."""
ROW_TOKENS = 256
DOC_CHARS = 2000
MEASURE_PARAMS = 500_000_000
"""Bases with more are not loaded just to measure on them."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """One expansion to be made.

    Args:
        base: model folder of the base.
        vocab: the vocab artifact's folder.
        out: the model folder to make.
        work: for trials; what is left in it is of no use.
        config: the section.
        seed: of all drawing.
        texts: the corpus, or None.
        machine: threads and device.
        progress: bars.
    """

    base: Path
    vocab: Path
    out: Path
    work: Path
    config: ExpandConfig
    seed: int
    texts: Texts | None
    machine: Machine
    progress: Progress

    def held_out(self, limit: int) -> dict[str, list[Document]]:
        """Held-out documents by language, the target first; none of a language without any."""
        if self.texts is None or not limit:
            return {}
        found = {}
        for language in dict.fromkeys((self.texts.target, self.texts.source)):
            if language_files(self.texts.corpus, language, "held_out"):
                documents = list(read_language(self.texts.corpus, language, "held_out"))
                if chosen := choose(documents, limit, DOC_CHARS):
                    found[language] = chosen
        return found

    def training_texts(self) -> dict[str, list[str]]:
        """As many texts of the training part, by language, to fit padding to."""
        assert self.texts is not None
        limit = self.config.measure_docs
        return {
            language: [text[:DOC_CHARS] for text in islice(self.texts.read(language), limit)]
            for language in dict.fromkeys((self.texts.target, self.texts.source))
        }

    def expand(
        self, out: Path, config: ExpandConfig, padding: torch.Tensor | None
    ) -> dict[str, Any]:
        """Write one model folder."""
        return expand_model(
            self.base, self.vocab, out, config, self.seed, texts=self.texts, padding=padding,
            progress=self.progress,
        )  # fmt: skip


def expand(task: Expansion) -> dict[str, Any]:
    """Expand, picking the method where it is ``auto``, and measure what the new rows take.

    Returns:
        What goes into ``rows.json``: see :func:`hanhua.model.rows.expand_model`, and ``auto``
        (everything that was measured to pick) and ``kept`` (see
        :func:`hanhua.model.measure_rows.added_mass`) where they were measured.

    Raises:
        InputError: a method needs text that isn't there.
    """
    if task.machine.threads:
        torch.set_num_threads(task.machine.threads)
    small = find_ends(open_config(task.base)).params <= MEASURE_PARAMS
    documents = task.held_out(task.config.measure_docs) if small else {}
    padding = fitted_padding(task.base, task.training_texts()) if documents else None
    if "auto" in (task.config.input, task.config.output):
        rows = _pick(task, padding)
    else:
        rows = task.expand(task.out, task.config, padding)
    if task.texts is not None and (found := documents.get(task.texts.source)):
        written = [d.text for d in found]
        rows["kept"] = added_mass(task.base, task.out, written, rows["old_rows"], rows["new_rows"])
    return rows


def candidates(config: ExpandConfig) -> list[ExpandConfig]:
    """What ``auto`` will try, in order."""
    found = []
    for method in config.auto_methods:
        head = "mean" if method == "distill" else method
        if config.input != "auto" and method == "distill":
            continue
        change = {
            "input": method if config.input == "auto" else config.input,
            "output": head if config.output == "auto" else config.output,
        }
        one = config.model_copy(update=change)
        if one not in found:
            found.append(one)
    return found


def _pick(task: Expansion, padding: torch.Tensor | None) -> dict[str, Any]:
    """Try all candidates; the best one's folder becomes the result."""
    documents = task.held_out(task.config.auto_docs)
    if task.texts is None or task.texts.target not in documents:
        raise InputError(
            "To pick a start for new rows, held-out text of the target language is needed.",
            where="expand.input", found="no corpus" if task.texts is None else "none held out",
            fix="give the recipe a corpus section with held_out_docs, or name a method",
        )  # fmt: skip
    steps = trial_batches(task) if task.config.auto_steps else []
    tried: list[dict[str, Any]] = []
    best: tuple[float, dict[str, Any]] | None = None
    for i, config in enumerate(candidates(task.config)):
        folder = task.work / f"try-{i}"
        shutil.rmtree(folder, ignore_errors=True)
        rows = task.expand(folder, config, padding)
        found = trial(folder, steps, documents, task)
        tried.append({"input": config.input, "output": config.output, **found})
        task.progress.say(f"  new rows by {config.input}/{config.output}: {found['bits_per_byte']}")
        value = found["bits_per_byte"][str(len(steps))][task.texts.target]
        if best is None or is_better(value, best[0]):
            best = (value, rows)
            shutil.rmtree(task.out, ignore_errors=True)
            shutil.move(folder, task.out)
        else:
            shutil.rmtree(folder)
    assert best is not None
    counts = {language: len(found) for language, found in documents.items()}
    method = best[1]["method"]
    best[1]["auto"] = {
        "picked": {end: method[end] for end in ("input", "output")},
        "by": f"bits per byte of {task.texts.target} after {len(steps)} steps",
        "tried": tried, "documents": counts, "steps": len(steps), "step_tokens": STEP_TOKENS,
        "learning_rate": task.config.auto_learning_rate,
    }  # fmt: skip
    return best[1]


def is_better(value: float, best: float) -> bool:
    """Whether bits per byte are lower; those of a model that ran away are no number."""
    return value < best or (math.isnan(best) and not math.isnan(value))


def trial_batches(task: Expansion) -> list[Batch]:
    """The rows of every trial step, the same for all candidates: both languages, drawn by seed."""
    assert task.texts is not None
    tokenizer = load_tokenizer(task.vocab / "tokenizer")
    config = open_config(task.base)
    seq_len = min(ROW_TOKENS, int(getattr(config, "max_position_embeddings", ROW_TOKENS)))
    budget = task.config.auto_steps * STEP_TOKENS
    shares = {task.texts.target: TARGET_SHARE, task.texts.source: 1 - TARGET_SHARE}
    rows: list[Row] = []
    for language, share in shares.items():
        rows += _rows(tokenizer, task.texts, language, int(budget * share), seq_len)
    order = np.random.default_rng(task.seed).permutation(len(rows))
    each = STEP_TOKENS // seq_len
    picked = [rows[int(order[i % len(rows)])] for i in range(task.config.auto_steps * each)]
    return [Batch(tuple(picked[i : i + each])) for i in range(0, len(picked), each)]


def _rows(tokenizer: Any, texts: Texts, language: str, budget: int, seq_len: int) -> list[Row]:
    """About so many tokens of one language, packed."""
    documents, size = [], 0
    for ids in encode_documents(tokenizer, texts.read(language)):
        documents.append(ids)
        size += len(ids)
        if size >= budget:
            break
    if not documents:
        return []
    found = []
    for pieces in pack(np.array([len(d) for d in documents]), seq_len):
        parts = [documents[p.document][p.start : p.start + p.length] for p in pieces]
        lengths = np.array([len(part) for part in parts], np.int64)
        found.append(Row(np.concatenate(parts), None, lengths, language))
    return found


def trial(
    folder: Path, steps: Sequence[Batch], documents: Mapping[str, list[Document]], task: Expansion
) -> dict[str, Any]:
    """Bits per byte of a model at step 0 and after the steps.

    Returns:
        bits_per_byte: {"0": {language: value}, "<steps>": {…}}.
    """
    torch.manual_seed(task.seed)
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    scores = {"0": _bits(model, tokenizer, documents)}
    if steps:
        _train(model, steps, task.config.auto_learning_rate, task.machine.micro_tokens(cuda=False))
        scores[str(len(steps))] = _bits(model, tokenizer, documents)
    return {"bits_per_byte": scores}


def _bits(model: Any, tokenizer: Any, documents: Mapping[str, list[Document]]) -> dict[str, float]:
    causal = CausalModel(model, tokenizer)
    found = {}
    for language, texts in documents.items():
        scores = score_texts(causal, texts)
        nats, size = sum(s.nats for s in scores), sum(s.n_bytes for s in scores)
        found[language] = round(nats / math.log(2) / size, 6)
    return found


def _train(model: Any, steps: Sequence[Batch], learning_rate: float, micro: int) -> None:
    """A few steps in float32 on all weights, without checkpoint or log: the model is thrown away.

    The rate rises over the first tenth of the steps.
    """
    before = model.config._attn_implementation
    check_head(model)
    enable(model)
    model.train()
    masters = Masters(model, TrainConfig(learning_rate=learning_rate, precision="fp32"))
    masters.begin(PhaseConfig())
    languages = sorted({row.language for batch in steps for row in batch.rows})
    warm = max(len(steps) // 10, 1)
    for i, batch in enumerate(steps):
        parts = [flatten(part, languages) for part in batch.micro_batches(micro)]
        targets = max(sum(part.n_targets for part in parts), 1)
        for part in parts:
            loss, _ = next_token_loss(model, part, 1 / targets)
            torch.autograd.backward(loss)
            masters.collect()
        masters.step(learning_rate * min(1.0, (i + 1) / warm))
    model.set_attn_implementation(before)
    model.eval()
