"""FLOPs of training, counted from shapes.

A weight that multiplies costs 2 a token forward, 2 for the gradient that goes on down, and 2 for
its own gradient where it learns; so 6, or 4 where it is frozen. The input embedding only looks up.
Attention is causal and stays inside a document. Of a mixture's experts those are counted that the
router sends a token to, and the router. What is computed a second time to save memory is counted
apart: utilisation is of what the model needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from hanhua.train.cost.job import Job, TrainKind


@dataclass(frozen=True, slots=True)
class Flops:
    """FLOPs of a token, the mean over the phases.

    Args:
        model: what the model needs.
        again: of activation checkpointing; of pairs, of the head too, which runs twice.
    """

    model: float
    again: float

    @property
    def computed(self) -> float:
        """What a device does."""
        return self.model + self.again


def flops(job: Job) -> Flops:
    """FLOPs of a token of a job, its phases weighted by their shares of the steps."""
    shares = _shares(job)
    model = sum(share * model_flops(job, phase) for phase, share in shares)
    again = 2.0 * job.shapes.head_parameters * job.target_share if job.of_pairs else 0.0
    return Flops(model, again_flops(job) + again)


def forward_flops(job: Job) -> float:
    """FLOPs of a token in a forward pass alone, as a reference is measured."""
    shapes = job.shapes
    block = 2.0 * shapes.active_matrices + attention_flops(job) + _adapters_forward(job)
    return shapes.layers * block + 2.0 * shapes.head_parameters * job.target_share


def _adapters_forward(job: Job) -> float:
    """FLOPs of a token in a block's adapters, forward."""
    lora, shapes = job.section.lora, job.shapes
    if lora is None:
        return 0.0
    found = sum(2.0 * lora.rank * sum(shapes.linears[name]) for name in job.adapted)
    if shapes.experts is not None:
        own, met = shapes.expert_linears, shapes.experts.per_token
        found += sum(2.0 * met * job.expert_rank * sum(own[n]) for n in job.adapted_experts)
    return found


def _shares(job: Job) -> list[tuple[TrainKind, float]]:
    phases = job.section.phases
    left = 1.0 - sum(phase.share or 0.0 for phase in phases)
    n_open = sum(phase.share is None for phase in phases)
    return [(p.train, left / n_open if p.share is None else p.share) for p in phases]


def model_flops(job: Job, phase: TrainKind) -> float:
    """FLOPs of a token in one phase, forward and backward."""
    shapes = job.shapes
    first, other = (
        sum(_linear(job, name, phase, layer) for name in shapes.linears) for layer in (0, 1)
    )
    body = first + (shapes.layers - 1) * other + shapes.layers * _experts(job, phase)
    attention = 3 * shapes.layers * attention_flops(job)
    head = (6 if job.ends_learn else 4) * shapes.head_parameters * job.target_share
    return float(body + attention + head)


def _linear(job: Job, name: str, phase: TrainKind, layer: int) -> float:
    """FLOPs of a token in a linear layer of a block, with its adapter.

    Nothing goes down from the first block's queries, keys and values where embeddings are frozen.
    """
    inputs, outputs = job.shapes.linears[name]
    lora = job.section.lora
    down = 0 if layer == 0 and not job.ends_learn and name in ("q_proj", "k_proj", "v_proj") else 2
    if lora is None:
        return float((2 + down + (2 if phase == "all" else 0)) * inputs * outputs)
    found = (2 + down) * inputs * outputs
    if name in job.adapted:
        own = 2 if phase == "all" else 0
        found += lora.rank * ((2 + down + own) * inputs + (4 + own) * outputs)
    return float(found)


def _experts(job: Job, phase: TrainKind) -> float:
    """FLOPs of a token in a block's experts, their adapters, router and gate."""
    shapes, lora = job.shapes, job.section.lora
    if shapes.experts is None:
        return 0.0
    learns = 2 if phase == "all" and lora is None else 0
    rank, own = job.expert_rank, 2 if phase == "all" else 0
    one = 0
    for name, (inputs, outputs) in shapes.expert_linears.items():
        one += (4 + learns) * inputs * outputs
        if name in job.adapted_experts:
            one += rank * (4 + own) * (inputs + outputs)
    routers = shapes.hidden_size * (shapes.experts.count + shapes.experts.shared_gate)
    return float(shapes.experts.per_token * one + (4 + learns) * routers)


def attention_flops(job: Job) -> float:
    """FLOPs of a token in one block's attention, forward: scores and sums over what it sees."""
    seen = ((job.document_tokens or job.row_tokens) + 1) / 2
    return 4.0 * job.shapes.attention_width * seen


def again_flops(job: Job) -> float:
    """FLOPs of a token that activation checkpointing computes a second time.

    Full: a block's forward but for its last product, which nothing waits for (experts' are weighed
    by the router, so that waits for all). Selective: attention, and experts that have biases.
    """
    if job.again == "none":
        return 0.0
    found = attention_flops(job)
    if job.again == "full":
        found += 2.0 * job.shapes.active_matrices + _adapters_forward(job) - _last_product(job)
    elif job.shapes.experts is not None and job.shapes.experts.biased:
        met = job.shapes.experts.per_token
        for name, (inputs, outputs) in job.shapes.expert_linears.items():
            rank = job.expert_rank if name in job.adapted_experts else 0
            found += 2.0 * met * (inputs * outputs + rank * (inputs + outputs))
    return job.shapes.layers * found


def _last_product(job: Job) -> float:
    """FLOPs of a token in the product that ends a dense block."""
    lora, shapes = job.section.lora, job.shapes
    if shapes.experts is not None:
        return 0.0
    inputs, outputs = shapes.linears["down_proj"]
    if lora is None:
        return 2.0 * inputs * outputs
    return 2.0 * lora.rank * outputs if "down_proj" in job.adapted else 0.0
