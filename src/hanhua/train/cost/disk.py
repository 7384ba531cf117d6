"""Bytes on disk while a stage trains and when it has."""

from __future__ import annotations

from dataclasses import dataclass

from hanhua.model.shapes import SMALL_PARAMETERS
from hanhua.train.cost.job import Job

CHECKPOINT_BYTES = 12
"""Of a trained parameter: fp32 master and Adam's two averages; `pretrain.average` adds 4."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes on disk.

    Args:
        checkpoints: at most: the newest, those to go back to, and one that is being written.
        model: that the stage leaves, with its adapter.
        total: at most at any time.
    """

    checkpoints: int
    model: int
    total: int


def disk(job: Job) -> Disk:
    """What a job needs. The folder of checkpoints goes when the model is whole."""
    held = 1 + (job.section.guard is not None) + (job.section.stop is not None)
    each = CHECKPOINT_BYTES + 4 * (job.section.average is not None)
    one = each * job.trained_parameters
    model = saved_width(job) * job.shapes.parameters + 4 * _adapter_folder(job)
    return Disk((held + 1) * one, model, max((held + 1) * one, held * one + model))


def _adapter_folder(job: Job) -> int:
    """Numbers in ``adapter/``: what learnt, embedding and head each of their own."""
    lora = job.section.lora
    ends = 2 * job.shapes.head_parameters if lora is not None and lora.embeddings else 0
    return job.adapter_parameters + ends


def saved_width(job: Job) -> int:
    """Bytes of a number in the model that is saved."""
    return 4 if job.shapes.parameters < SMALL_PARAMETERS else 2
