"""What a decoder block keeps of a token from its forward to its backward pass.

Read off transformers' modules (LLaMA, eager): every tensor that a gradient formula asks for,
counted once where several do. A norm computes in fp32, so it keeps its input so; attention keeps
queries, keys and values and computes the scores again (``train/causal.py``, flash on GPUs); the
MLP's gate keeps its input, its output and what it multiplies. Fused (``model/kernels.py``) a norm
keeps its input as it is, and a gate no output. A block under torch.compile keeps the same: the
compiler (``torch._functorch.partitioners``) keeps inputs of products and sums over a row, and makes
what is pointwise again inside the backward pass's kernels. So of a norm stay its input and one
fp32 number a token, of a gate what it multiplies.

Experts (``transformers.integrations.moe``, grouped products) get a copy of a token for each that it
goes to, and keep what each gives for the router's gradient.
"""

from __future__ import annotations

from hanhua.train.cost.job import Job, TrainKind

INDEX = 8
"""Bytes of a number that says where something is."""


def kept_by_block(job: Job, phase: TrainKind) -> int:
    """Bytes of a token that a block keeps without activation checkpointing."""
    found = _norms(job, phase) + _attention(job, phase) + _mlp(job, phase) + _adapters(job, phase)
    return found + _experts(job, phase)


def kept_by_last_norm(job: Job, phase: TrainKind) -> int:
    """Bytes of a token that the norm behind the blocks keeps; its output is the head's."""
    return _kept_of_normed(job, phase, job.shapes.hidden_size, job.native)


def kept_for_again(job: Job, phase: TrainKind) -> int:
    """Bytes of a token that a block keeps under activation checkpointing.

    Its input; selective: the outputs of its products with weights too, also of the adapters'.
    """
    shapes, lora = job.shapes, job.section.lora
    found = shapes.hidden_size
    if job.again == "selective":
        found += sum(outputs for _, outputs in shapes.linears.values())
        if lora is not None:
            found += sum(lora.rank + shapes.linears[name][1] for name in job.adapted)
    return job.width * (found + _expert_outputs(job))


def made_again(job: Job, phase: TrainKind) -> int:
    """Bytes of a token that one block holds while its backward pass runs, beyond what it kept."""
    if job.again == "none":
        return 0
    found = kept_by_block(job, phase)
    if job.again == "selective":  # gate and up are kept outputs
        found -= job.width * (job.shapes.inner_size * (2 if job.shapes.gated else 1))
        found -= job.width * _expert_outputs(job)
    return found


def _expert_outputs(job: Job) -> int:
    """Numbers of a token that selective checkpointing keeps of experts: what their products give.

    With biases, which are added in place, nothing can be kept.
    """
    experts = job.shapes.experts
    if experts is None or job.again != "selective" or experts.biased:
        return 0
    found = sum(outputs for _, outputs in job.shapes.expert_linears.values())
    for name in job.adapted_experts:
        found += job.expert_rank + job.shapes.expert_linears[name][1]
    return experts.per_token * found + experts.count


def _kept_of_normed(job: Job, phase: TrainKind, numbers: int, fused: bool) -> int:
    """Of so many numbers: the input in fp32, and scaled if the weight learns; fused: the input.

    And one fp32 number by which the row is scaled.
    """
    if fused:
        return numbers * job.width + 4
    learns = phase == "all" and job.section.lora is None
    return numbers * (4 + (job.width if learns else 0)) + 4


def _norms(job: Job, phase: TrainKind) -> int:
    shapes, width = job.shapes, job.width
    found = 2 * _kept_of_normed(job, phase, shapes.hidden_size, job.fused)
    readers = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
    for names in readers:
        if any(job.has_gradient(name, phase) for name in names if name in shapes.linears):
            found += width * shapes.hidden_size
    if shapes.experts is not None and not shapes.experts.shared_size:  # the router reads it too
        found += width * shapes.hidden_size * (phase == "all" and job.section.lora is None)
    if shapes.qk_norm or shapes.wide_qk_norm:
        numbers = shapes.attention_width + shapes.kv_width
        found += _kept_of_normed(job, phase, numbers, job.fused)
    return found


def _attention(job: Job, phase: TrainKind) -> int:
    shapes = job.shapes
    out = shapes.attention_width
    if job.cuda:  # flash: the output and a log-sum-exp of each head too; keys as they are
        return job.width * (2 * out + 2 * shapes.kv_width) + 4 * shapes.heads
    if job.width == 2:  # by tiles: as flash, with keys repeated for every head; else a little less
        return job.width * 4 * out + 4 * shapes.heads
    reads_out = job.has_gradient("o_proj", phase)
    return job.width * (3 * out + (out if reads_out else 0))  # keys repeated for every head


def _mlp(job: Job, phase: TrainKind) -> int:
    inner = job.shapes.inner_size
    numbers = inner * ((2 if job.fused else 3) if job.shapes.gated else 1)
    return job.width * (numbers + (inner if job.has_gradient("down_proj", phase) else 0))


def _experts(job: Job, phase: TrainKind) -> int:
    """What experts and their router keep, with the balance's probabilities."""
    shapes, width, experts = job.shapes, job.width, job.shapes.experts
    if experts is None:
        return 0
    reads, ends = (job.expert_has_gradient(n, phase) for n in ("gate_up_proj", "down_proj"))
    # a clamped gate (GPT-OSS) is made of more steps
    inner = experts.size * (3 + 3 * experts.biased + ends)
    each = width * (shapes.hidden_size * (1 + reads) + inner) + 5 * INDEX
    for name in job.adapted_experts if phase == "all" else ():
        each += width * job.expert_rank
        lora = job.section.lora
        if lora is not None and lora.dropout:
            each += shapes.expert_linears[name][0] * (width + 1)
    shared = width * shapes.hidden_size if experts.shared_gate else 0
    return experts.per_token * each + shared + 2 * 4 * experts.count


def _adapters(job: Job, phase: TrainKind) -> int:
    """What adapters keep beside their inputs: their inner numbers; masks; DoRA's outputs."""
    lora = job.section.lora
    if lora is None or phase != "all":
        return 0
    found = 0
    for name in job.adapted:
        inputs, outputs = job.shapes.linears[name]
        found += job.width * lora.rank
        if lora.dropout:
            found += inputs * (job.width + 1)
        if lora.dora:
            found += job.width * outputs
    return found
