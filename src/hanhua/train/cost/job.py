"""What is trained, on what, in which pieces: all that a cost depends on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Literal

from hanhua.model.experts import expert_rank
from hanhua.model.head_room import SIDE
from hanhua.model.native import NATIVE
from hanhua.model.shapes import Shapes
from hanhua.train.config import OptimConfig
from hanhua.train.precision import Precision
from hanhua.train.prefer_config import PreferConfig

Again = Literal["none", "selective", "full"]
TrainKind = Literal["new_rows", "embeddings", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A training stage on a machine.

    Args:
        shapes: of the model, after its vocabulary has grown.
        section: ``pretrain`` or ``finetune``.
        precision: of the arithmetic.
        row_tokens: tokens of a packed row.
        micro_batch_tokens: ``machine.micro_batch_tokens``.
        devices: processes, one device each.
        again: ``machine.activation_checkpointing``.
        compiled: ``machine.compile``.
        cuda: whether a device is a GPU.
        document_tokens: length of a document as attention meets it, sum of squares by sum.
        target_share: predicted part of the tokens.
        reference_tokens: of the rows that the start is run over once, before the first step
            (DPO's reference).
    """

    shapes: Shapes
    section: OptimConfig
    precision: Precision
    row_tokens: int
    micro_batch_tokens: int = 8192
    devices: int = 1
    again: Again = "none"
    compiled: bool = False
    cuda: bool = False
    document_tokens: float | None = None
    target_share: float = 1.0
    reference_tokens: int = 0

    @property
    def of_pairs(self) -> bool:
        """Whether it learns from pairs: the head then runs twice (``train/preference.py``)."""
        return isinstance(self.section, PreferConfig)

    @property
    def width(self) -> int:
        """Bytes of a number in the arithmetic."""
        return 2 if self.precision == "bf16" else 4

    @property
    def native(self) -> bool:
        """Whether norms and gates are passes of ``model/native`` (LLaMA-like families, on a CPU).

        Inside a compiled block they are the compiler's.
        """
        return NATIVE is not None and not self.cuda and self.shapes.gated

    @property
    def tiled_head(self) -> bool:
        """Whether this processor makes the loss by tiles of bf16 (``model/head_tiles.py``)."""
        known = NATIVE is not None and not self.cuda and self.width == 2
        return known and self.shapes.hidden_size % SIDE == 0 and bool(NATIVE.tiles())

    @property
    def fused(self) -> bool:
        """Whether a block computes norms and gates in one pass each, the compiler's or ours."""
        return self.compiled or self.native

    @property
    def sharded(self) -> bool:
        """Whether processes share the model."""
        return self.devices > 1

    # -- pieces ---------------------------------------------------------------------------------

    @property
    def rows_a_step(self) -> int:
        """Rows of an optimiser step, of all devices."""
        return max(self.section.batch_tokens // self.row_tokens, 1)

    @property
    def rows_a_micro_batch(self) -> int:
        """Rows that a device computes at a time."""
        mine = ceil(self.rows_a_step / self.devices)
        return min(max(self.micro_batch_tokens // self.row_tokens, 1), mine)

    @property
    def tokens(self) -> int:
        """Tokens that a device computes at a time."""
        return self.rows_a_micro_batch * self.row_tokens

    @property
    def targets(self) -> int:
        """Predicted ones among them."""
        return ceil(self.tokens * self.target_share)

    @property
    def micro_batches(self) -> int:
        """Of a device in a step."""
        return ceil(self.rows_a_step / self.devices / self.rows_a_micro_batch)

    # -- what learns ----------------------------------------------------------------------------

    @property
    def phases(self) -> Iterator[TrainKind]:
        """The kinds of phases there are."""
        yield from dict.fromkeys(phase.train for phase in self.section.phases)

    @property
    def ends_learn(self) -> bool:
        """Whether embedding and head have masters."""
        return self.section.lora is None or self.section.lora.embeddings

    @property
    def adapted(self) -> tuple[str, ...]:
        """Linear layers of a block that have adapters, by their names in a LLaMA."""
        return self._targeted(self.shapes.linears, experts=False)

    @property
    def adapted_experts(self) -> tuple[str, ...]:
        """Weights of a block's experts that have adapters, by their names in transformers."""
        return self._targeted(self.shapes.expert_linears, experts=True)

    def _targeted(self, names: Iterable[str], *, experts: bool) -> tuple[str, ...]:
        """Those that are targets; ``experts.down_proj`` means no shared expert's."""
        lora = self.section.lora
        if lora is None:
            return ()
        if lora.targets == "auto":
            return tuple(names)
        parts = [["", *target.split(".")] for target in lora.targets]
        meant = {p[-1] for p in parts if not p[-2] or (p[-2] == "experts") == experts}
        return tuple(name for name in names if name in meant)

    @property
    def expert_rank(self) -> int:
        """Rank of one expert's adapters."""
        lora, experts = self.section.lora, self.shapes.experts
        return 0 if lora is None or experts is None else expert_rank(lora.rank, experts.per_token)

    def has_gradient(self, name: str, phase: TrainKind) -> bool:
        """Whether a linear layer's weight, or its adapter's, learns in a phase."""
        return phase == "all" and (self.section.lora is None or name in self.adapted)

    def expert_has_gradient(self, name: str, phase: TrainKind) -> bool:
        """The same of a weight of experts."""
        return phase == "all" and (self.section.lora is None or name in self.adapted_experts)

    @property
    def adapter_parameters(self) -> int:
        """Of all adapters."""
        lora, linears = self.section.lora, self.shapes.linears
        if lora is None:
            return 0
        block = sum(
            lora.rank * sum(linears[name]) + (linears[name][1] if lora.dora else 0)
            for name in self.adapted
        )
        if self.shapes.experts is not None:
            own = self.shapes.expert_linears
            one = sum(self.expert_rank * sum(own[name]) for name in self.adapted_experts)
            block += self.shapes.experts.count * one
        return self.shapes.layers * block

    @property
    def trained_parameters(self) -> int:
        """Parameters that have a master."""
        if self.section.lora is None:
            return self.shapes.parameters
        ends = self.shapes.end_parameters if self.ends_learn else 0
        return self.adapter_parameters + ends

    def learning_parameters(self, phase: TrainKind) -> int:
        """Parameters that have a gradient in a phase."""
        return self.trained_parameters if phase == "all" else self.shapes.end_parameters
