"""What new rows cost a model, from its shapes alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """The model that pays for the rows.

    Args:
        body_params: parameters that every token meets, without embedding and head.
        hidden_size: width of a row.
        tied: one matrix for embedding and head.
        assumed: nobody said which model, so these are LLaMA-2-7B's shapes.
    """

    body_params: int = 6_476_271_616
    hidden_size: int = 4096
    tied: bool = False
    assumed: bool = True

    def flops_per_token(self, rows: int) -> int:
        """Forward FLOPs of a token: two for each parameter of the body and of the head."""
        return 2 * (self.body_params + rows * self.hidden_size)

    def bytes_of(self, rows: int) -> int:
        """Bytes of so many rows in bf16, embedding and head."""
        return rows * self.hidden_size * (1 if self.tied else 2) * 2
