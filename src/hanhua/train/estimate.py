"""What a training stage will cost, told from a few numbers and without loading a weight."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from hanhua.core.config import Machine
from hanhua.model.shapes import Shapes
from hanhua.train.config import OptimConfig
from hanhua.train.cost.accelerators import MFU, Accelerator, accelerator
from hanhua.train.cost.disk import disk
from hanhua.train.cost.fit import Proposal, device_bytes, propose, reserve_bytes
from hanhua.train.cost.flops import flops, forward_flops
from hanhua.train.cost.job import Job
from hanhua.train.cost.memory import Memory, host_bytes, peak
from hanhua.train.finetune_config import FinetuneConfig
from hanhua.train.precision import Precision, choose_precision
from hanhua.train.prefer_config import PreferConfig

FLOPS_PER_S = {"bf16": 1.3e11, "fp32": 4e10}
"""Useful FLOP/s of one core end to end, measured with a 15M-parameter LLaMA: bf16 on Zen 4, fp32
on Zen 3 (benchmarks/training.py); ``facts["flops_per_s"]`` overrides it."""
CHAT_TARGETS = 0.75
"""Predicted part of a conversation's tokens: 0.69 to 0.90 in four sets (Alpaca in Chinese and
English, OASST in Chinese, LIMA; 500 to 600 conversations each, Chinese-LLaMA-2's tokenizer)."""

_SECTIONS = {FinetuneConfig: "finetune", PreferConfig: "prefer"}


def estimate(config: OptimConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens, steps, FLOPs, time, memory, money, disk, and settings that fit.

    Args:
        config: the ``pretrain`` or ``finetune`` section.
        facts: ``tokens`` (of one pass over the rows), ``chat_tokens``, the model's shapes (see
            :class:`Shapes`), ``seq_len_tokens``, ``cores``, ``machine``; what is missing counts
            as unknown and leaves out what depends on it.

    Returns:
        The keys that docs/guides/plan.md describes.
    """
    tokens, share = _tokens(config, facts)
    found: dict[str, Any] = {}
    if tokens:
        found = {"tokens": tokens, "steps": ceil(tokens / config.batch_tokens)}
    machine: Machine = facts.get("machine") or Machine()
    device = accelerator(machine.accelerator, machine.device)
    job = job_of(config, facts, machine, device, share)
    if job is None:
        return found
    found |= {"parameters": job.shapes.parameters, "trained_parameters": job.trained_parameters}
    if job.shapes.experts is not None:
        found["active_parameters"] = job.shapes.active_parameters
    found |= _work(job, device, machine, facts, tokens) | _memory(job, device) | _disk(job)
    section = next((n for kind, n in _SECTIONS.items() if isinstance(config, kind)), "pretrain")
    found["proposals"] = [
        _proposed(proposal, device, machine, facts, tokens)
        for proposal in propose(job, device, section)
    ]
    return found


def job_of(
    config: OptimConfig,
    facts: Mapping[str, Any],
    machine: Machine,
    device: Accelerator,
    target_share: float = 1.0,
) -> Job | None:
    """What is trained on what; None where the model's shapes aren't known."""
    shapes = Shapes.of(facts)
    if shapes is None:
        return None
    return Job(
        shapes=shapes, section=config, precision=_precision(config, device),
        row_tokens=int(facts.get("seq_len_tokens") or 512),
        micro_batch_tokens=machine.micro_tokens(device.cuda), devices=machine.devices,
        again=machine.activation_checkpointing, compiled=machine.compile, cuda=device.cuda,
        document_tokens=facts.get("document_tokens"), target_share=target_share,
        reference_tokens=_reference_tokens(config, facts),
    )  # fmt: skip


def _reference_tokens(config: OptimConfig, facts: Mapping[str, Any]) -> int:
    """Tokens of the pairs, once each whatever the epochs, where the start measures them first."""
    measured = isinstance(config, PreferConfig) and config.method == "dpo"
    return int(facts.get("tokens") or 0) if measured else 0


def _precision(config: OptimConfig, device: Accelerator) -> Precision:
    if device.cuda and config.precision == "auto":
        return "bf16"  # every GPU of the table multiplies it
    return choose_precision(config.precision, "cpu")


def _tokens(config: OptimConfig, facts: Mapping[str, Any]) -> tuple[int, float]:
    """Tokens trained on (0: unknown), and the predicted part of them.

    Rehearsal is a part of the predicted tokens: text of which every token is predicted.
    """
    tokens: float = facts.get("tokens") or 0
    share, text = 1.0, 0.0
    if isinstance(config, FinetuneConfig):
        share = CHAT_TARGETS
        if tokens:
            text = share * config.rehearsal_share / (1 - config.rehearsal_share)
        tokens = facts.get("chat_tokens") or 0
    whole = 1 + text
    total = config.steps * config.batch_tokens if config.steps else tokens * whole * config.epochs
    return int(total), (share + text) / whole


def _work(
    job: Job, device: Accelerator, machine: Machine, facts: Mapping[str, Any], tokens: int
) -> dict[str, Any]:
    """FLOPs, seconds and money."""
    cost = flops(job)
    found: dict[str, Any] = {
        "accelerator": device.name, "devices": job.devices, "precision": job.precision,
    }  # fmt: skip
    if device.peak_flops is not None:
        mfu = machine.mfu or MFU
        rate = device.peak_flops * mfu * job.devices
        found["mfu"] = mfu * cost.model / cost.computed
    else:
        core = FLOPS_PER_S[job.precision] * (facts.get("cores") or 1)
        rate = facts.get("flops_per_s") or core
    if not tokens:
        return found
    reference = forward_flops(job) * job.reference_tokens
    found |= {
        "flops": tokens * cost.model + reference,
        "computed_flops": tokens * cost.computed + reference,
        "seconds": (tokens * cost.computed + reference) / rate,
    }  # fmt: skip
    if reference:
        found["reference_flops"] = reference
    if machine.price_per_device_hour is not None:
        amount = found["seconds"] / 3600 * job.devices * machine.price_per_device_hour
        found["money"] = {"amount": amount, "currency": machine.currency}
    return found


def _memory(job: Job, device: Accelerator) -> dict[str, Any]:
    """Memory of a device at its fullest moment, by part."""
    memory, has = peak(job), device_bytes(job, device)
    reserve = reserve_bytes(memory, device)
    shown = memory_dict(memory) | {"reserve_bytes": reserve, "device_bytes": has}
    fits = memory.total + reserve <= has
    found: dict[str, Any] = {"memory": shown, "memory_bytes": memory.total, "fits": fits}
    if device.cuda:
        found["host_memory_bytes"] = host_bytes(job)
    return found


def _disk(job: Job) -> dict[str, Any]:
    """Bytes on disk."""
    needed = disk(job)
    parts = {
        "checkpoints_bytes": needed.checkpoints, "model_bytes": needed.model,
        "total_bytes": needed.total,
    }  # fmt: skip
    return {"disk": parts, "bytes": needed.total}


def memory_dict(memory: Memory) -> dict[str, Any]:
    """The parts of a moment, as ``--json`` has them."""
    return {
        "moment": memory.moment, "weights_bytes": memory.weights,
        "gradients_bytes": memory.gradients, "optimizer_bytes": memory.optimizer,
        "activations_bytes": memory.activations, "loss_bytes": memory.loss,
        "other_bytes": memory.other, "total_bytes": memory.total,
    }  # fmt: skip


def _proposed(
    proposal: Proposal, device: Accelerator, machine: Machine, facts: Mapping[str, Any], tokens: int
) -> dict[str, Any]:
    """A proposal with what it costs."""
    memory = peak(proposal.job)
    work = _work(proposal.job, device, machine, facts, tokens)
    kept: dict[str, Any] = {key: work[key] for key in ("seconds", "money") if key in work}
    return {
        "what": proposal.what, "set": dict(proposal.settings), "devices": proposal.job.devices,
        "memory_bytes": memory.total, **kept,
    }  # fmt: skip
