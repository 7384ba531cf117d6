"""Memory of a device at the fullest moments of a training step, by part.

What stays through a step: weights in the arithmetic's precision, fp32 masters, Adam's averages.
What comes and goes: gradients, what blocks keep for the backward pass, the loss's buffers. Which
moment is the fullest depends on the shapes, so all are counted and the fullest is told:

- ``loss``: all blocks have run; a chunk of logits and the head's gradient are there;
- ``answers``: of pairs, the head runs a first time for the losses alone;
- ``backward``: the last block's backward pass begins;
- ``gradients``: the first block's ends, and every gradient is there, in fp32 (each is added to
  its master's as soon as it is made);
- ``sum``: where processes share the model, the gradients of a micro-batch are added to those
  before it;
- ``save``: the model is saved, read back and compared (on the CPU whatever trained it).

Bytes are of tensors, as PyTorch's allocator counts them; what a heap or a driver needs beside them
is ``reserve_bytes`` in :mod:`hanhua.train.cost.fit`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from hanhua.train.cost.activations import (
    kept_by_block,
    kept_by_last_norm,
    kept_for_again,
    made_again,
)
from hanhua.train.cost.disk import saved_width
from hanhua.train.cost.job import Job, TrainKind
from hanhua.train.cost.loss import answers_bytes, loss_bytes

NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Of a weight in 4 bits: NF4, a scale a block of 64 in 8 bits, a scale of 256 of those in 32
(double quantisation, https://arxiv.org/abs/2305.14314, section 3)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a device's tensors at one moment.

    Args:
        moment: which.
        weights: in the arithmetic's precision and fp32 masters, gathered ones too; where they are
            kept, those of the start and their average.
        gradients: of the weights, in every form.
        optimizer: Adam's two averages.
        activations: kept for the backward pass, and what the moment computes with.
        loss: buffers of the loss: a chunk of logits, its gradients.
        other: ids, positions, labels of the step's rows.
    """

    moment: str
    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    loss: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """All parts."""
        parts = (self.weights, self.gradients, self.optimizer, self.activations, self.loss)
        return sum(parts) + self.other

    @property
    def passing(self) -> int:
        """What comes and goes within a step."""
        return self.gradients + self.activations + self.loss


def peak(job: Job) -> Memory:
    """The fullest moment of a job."""
    return max(
        (found for phase in job.phases for found in moments(job, phase)), key=lambda m: m.total
    )


def moments(job: Job, phase: TrainKind) -> list[Memory]:
    """The moments of a step of one phase."""
    stays = _stays(job)
    found = [
        replace(
            stays, moment=part.moment, weights=stays.weights + part.weights,
            gradients=part.gradients, activations=part.activations, loss=part.loss,
        )
        for part in (
            _at_loss(job, phase), *([_at_answers(job, phase)] if job.of_pairs else []),
            _at_backward(job, phase), _at_gradients(job, phase), _at_sum(job, phase),
        )
    ]  # fmt: skip
    return found if job.cuda else [*found, _at_save(job)]


def _stays(job: Job) -> Memory:
    """What is there all the time."""
    trained, n = job.trained_parameters, job.devices
    averaged = max(job.learning_parameters(phase) for phase in job.phases)
    low = 2 * trained if job.width == 2 and not job.sharded else 0
    whole_step = ceil(job.rows_a_step / n) * job.row_tokens
    # train/forgetting.py keeps an fp32 copy for each
    copies = 1 + bool(job.section.pull_to_base) + (job.section.average is not None)
    return Memory(
        "", weights=ceil((4 * trained * copies + _frozen_bytes(job)) / n) + low,
        optimizer=ceil(8 * averaged / n), other=4 * 8 * whole_step,
    )  # fmt: skip


def _frozen_bytes(job: Job) -> float:
    """Weights that LoRA freezes."""
    lora, shapes = job.section.lora, job.shapes
    if lora is None:
        return 0.0
    body = shapes.layers * shapes.block_parameters + shapes.hidden_size
    ends = 0 if job.ends_learn else shapes.end_parameters
    if lora.base_bits == 4:
        matrices = shapes.layers * shapes.block_matrices
        return NF4_BYTES * matrices + job.width * (body - matrices + ends)
    return float(job.width * (body + ends))


# -- moments ------------------------------------------------------------------------------------


def _at_loss(job: Job, phase: TrainKind) -> Memory:
    loss, head = loss_bytes(job)
    return Memory(
        "loss", weights=_gathered(job, blocks=0), gradients=_so_far(job, phase) + head,
        activations=_kept(job, phase, job.shapes.layers, last_norm=True), loss=loss,
    )  # fmt: skip


def _at_answers(job: Job, phase: TrainKind) -> Memory:
    return Memory(
        "answers", weights=_gathered(job, blocks=0), gradients=_so_far(job, phase),
        activations=_kept(job, phase, job.shapes.layers, last_norm=True), loss=answers_bytes(job),
    )  # fmt: skip


def _at_backward(job: Job, phase: TrainKind) -> Memory:
    """The last block: its MLP's gradients at their widest; under FSDP after a block or two."""
    shapes, width = job.shapes, job.width
    inner = (2 if shapes.gated else 1) * shapes.inner_size
    if shapes.experts is not None:
        experts = shapes.experts
        inner += experts.per_token * (2 * experts.size + 3 * shapes.hidden_size)
    last = job.tokens * (made_again(job, phase) + width * (shapes.hidden_size + inner))
    return Memory(
        "backward", weights=_gathered(job, blocks=2) + _dequantised(job),
        gradients=_so_far(job, phase) + _waiting_head(job) + _block_gradients(job, phase),
        activations=_kept(job, phase, shapes.layers) + last,
    )  # fmt: skip


def _waiting_head(job: Job) -> int:
    """The head's gradient: one that is tied waits for the embedding's, one that isn't is taken."""
    if not job.ends_learn:
        return 0
    taken = not job.sharded and not job.shapes.tied
    if taken and job.micro_batches > 1:
        return 0
    return (4 if taken else job.width) * job.shapes.head_parameters


def _at_gradients(job: Job, phase: TrainKind) -> Memory:
    """The end of the backward pass: the embedding's gradient beside the head's if they are tied."""
    shapes, width = job.shapes, job.width
    learning, end = job.learning_parameters(phase), shapes.head_parameters * job.ends_learn
    made = width * end * (2 if shapes.tied else 1)
    if job.sharded:
        ends = shapes.end_parameters if job.ends_learn else 0
        found = ceil(4 * (learning - ends) / job.devices) + (width + 4) * ends + _so_far(job, phase)
        made -= width * end
    elif job.micro_batches > 1:
        found = 4 * learning
    else:
        found = 4 * (learning - end)
        made = max(made, (4 if width == 4 else width + 4) * end)
    return Memory(
        "gradients", weights=_gathered(job, blocks=0), gradients=found + made,
        activations=width * job.tokens * shapes.hidden_size,
    )  # fmt: skip


def _at_sum(job: Job, phase: TrainKind) -> Memory:
    """Gradients of one micro-batch beside those before, where they are not taken one by one."""
    learning = job.learning_parameters(phase)
    if not job.sharded:
        return Memory("sum", gradients=4 * learning)
    return Memory("sum", gradients=ceil(4 * learning / job.devices) + _so_far(job, phase))


def _at_save(job: Job) -> Memory:
    """The trained model and its saved self side by side in fp32; a large one's masters too."""
    return Memory("save", weights=host_bytes(job))


def host_bytes(job: Job) -> int:
    """What saving takes of the first process's own memory (``model/checkpoint.py``)."""
    copies = 2 if saved_width(job) == 4 else 3
    return copies * 4 * job.shapes.parameters


# -- parts --------------------------------------------------------------------------------------


def _kept(job: Job, phase: TrainKind, layers: int, last_norm: bool = False) -> int:
    """What so many blocks keep, with the cosines and sines that all share."""
    shapes, width = job.shapes, job.width
    block = kept_by_block(job, phase) if job.again == "none" else kept_for_again(job, phase)
    found = layers * block + 2 * width * shapes.head_dim
    if last_norm:
        found += kept_by_last_norm(job, phase) + width * shapes.hidden_size
    return job.tokens * found


def _so_far(job: Job, phase: TrainKind) -> int:
    """Gradients of the micro-batches before."""
    if job.micro_batches == 1:
        return 0
    return ceil(4 * job.learning_parameters(phase) / job.devices)


def _gathered(job: Job, blocks: int) -> int:
    """Weights that FSDP has gathered: embeddings, norm and head, and so many blocks."""
    if not job.sharded:
        return 0
    shapes = job.shapes
    ends = shapes.end_parameters + shapes.hidden_size
    lora = job.section.lora
    adapters = job.adapter_parameters // shapes.layers if lora is not None else 0
    return job.width * (ends + blocks * (shapes.block_parameters + adapters))


def _block_gradients(job: Job, phase: TrainKind) -> int:
    """Gradients of one block under FSDP: whole, and the fp32 copy that is being summed up."""
    if not job.sharded or phase != "all":
        return 0
    learning = job.trained_parameters - (job.shapes.end_parameters if job.ends_learn else 0)
    return ceil((job.width + 4) * learning / job.shapes.layers)


def _dequantised(job: Job) -> int:
    """The largest layer in 4 bits, as it is computed with."""
    if job.section.lora is None or job.section.lora.base_bits != 4:
        return 0
    return job.width * max(a * b for a, b in job.shapes.linears.values())
