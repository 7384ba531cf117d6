"""Whether a job fits its devices, and which settings would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hanhua.model.config import LoraConfig
from hanhua.train.cost.accelerators import Accelerator
from hanhua.train.cost.job import Again, Job
from hanhua.train.cost.memory import Memory, peak

MARGIN = 0.1
"""Part of a GPU's memory that is left for its driver, the libraries of products and messages, and
holes between tensors: an assumption."""
HEAP = 1.2
"""Measured on a CPU: 0.4 (all weights) to 1.15 (LoRA) times (benchmarks/plan.py --as-run)."""
FULL_SPEED_TOKENS = 4096
"""Tokens at a time below which a device waits more than it computes; smaller pieces are proposed
only after activation checkpointing."""
MOST_DEVICES = 1024


def reserve_bytes(memory: Memory, device: Accelerator) -> int:
    """What must be free beside the tensors.

    On a GPU a part of it (``MARGIN``). On a CPU ``HEAP`` times what comes and goes within a step:
    glibc keeps freed blocks between those that stay, and the next step's may fit none of them.
    """
    return round(MARGIN * device.memory_bytes if device.cuda else HEAP * memory.passing)


def device_bytes(job: Job, device: Accelerator) -> int:
    """Memory of one device; processes on CPUs share their machine's."""
    return device.memory_bytes if device.cuda else device.memory_bytes // job.devices


def fits(job: Job, device: Accelerator) -> bool:
    """Whether the fullest moment and its reserve fit."""
    memory = peak(job)
    return memory.total + reserve_bytes(memory, device) <= device_bytes(job, device)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Settings that fit.

    Args:
        what: of which kind: ``here``, ``fewest devices``, ``lora``, ``lora, 4 bits``.
        job: with these settings.
        settings: what to set, by key of the recipe; what is left out stays.
    """

    what: str
    job: Job
    settings: dict[str, object]


def propose(job: Job, device: Accelerator, section: str) -> list[Proposal]:
    """Settings that fit, the nearest to what was asked first; empty where nothing does.

    Args:
        job: as the recipe has it.
        device: its devices.
        section: ``pretrain`` or ``finetune``.
    """
    found: list[Proposal] = []
    here = settle(job, device)
    if here is not None and here is not job:
        found.append(_proposal("here", job, here, section))
    few = fewest(job, device)
    if few is not None and few.devices != job.devices:
        found.append(_proposal("fewest devices", job, few, section))
    if here is None and job.section.lora is None:
        found += _with_lora(job, device, section)
    return found


def _with_lora(job: Job, device: Accelerator, section: str) -> Iterator[Proposal]:
    """Adapters on the devices given; where they don't fit either, over 4 bits or more devices."""
    ends = any(phase != "all" for phase in job.phases)
    for bits in (None, 4):
        if bits == 4 and (job.sharded or not device.cuda or job.shapes.experts is not None):
            break
        lora = LoraConfig(embeddings=ends, base_bits=4 if bits else None)
        asked = replace(job, section=job.section.model_copy(update={"lora": lora}))
        settled = settle(asked, device)
        if settled is not None:
            yield _proposal("lora, 4 bits" if bits else "lora", job, settled, section)
            return
    lora = LoraConfig(embeddings=ends)
    few = fewest(replace(job, section=job.section.model_copy(update={"lora": lora})), device)
    if few is not None:
        yield _proposal("lora", job, few, section)


def settle(job: Job, device: Accelerator) -> Job | None:
    """The job itself where it fits, else with other pieces on the same devices."""
    return next((tried for tried in _candidates(job) if fits(tried, device)), None)


def fewest(job: Job, device: Accelerator) -> Job | None:
    """The job on the fewest devices (1, 2, 4, …) on which it can be made to fit."""
    if not device.cuda:
        return None
    devices = 1
    while devices <= min(MOST_DEVICES, job.rows_a_step):
        found = settle(replace(job, devices=devices), device)
        if found is not None:
            return found
        devices *= 2
    return None


def _candidates(job: Job) -> Iterator[Job]:
    """The job, then with more computed again, then in smaller pieces, the faster first."""
    yield job
    order: tuple[Again, ...] = ("none", "selective", "full")
    ways = order[order.index(job.again) :]
    if job.compiled:  # a compiled block can't be computed again in part (train/blocks.py)
        ways = tuple(way for way in ways if way != "selective")
    sizes = [job.micro_batch_tokens]
    while sizes[-1] // 2 >= job.row_tokens:
        sizes.append(sizes[-1] // 2)
    large = [size for size in sizes if size >= FULL_SPEED_TOKENS] or sizes[:1]
    small = [size for size in sizes if size not in large]
    for some in (large, small):
        for again in ways:
            for size in some:
                yield replace(job, again=again, micro_batch_tokens=size)


def _proposal(what: str, asked: Job, found: Job, section: str) -> Proposal:
    """What differs, by key."""
    settings: dict[str, object] = {}
    for field, key in (
        ("devices", "machine.devices"), ("micro_batch_tokens", "machine.micro_batch_tokens"),
        ("again", "machine.activation_checkpointing"),
    ):  # fmt: skip
        if getattr(found, field) != getattr(asked, field):
            settings[key] = getattr(found, field)
    lora = found.section.lora
    if lora is not None and asked.section.lora is None:
        settings[f"{section}.lora.rank"] = lora.rank
        if lora.embeddings:
            settings[f"{section}.lora.embeddings"] = True
        if lora.base_bits:
            settings[f"{section}.lora.base_bits"] = lora.base_bits
    return Proposal(what, found, settings)
