"""What became of conversations and pairs in rows of limited length, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

SAYS: Mapping[str, str] = {
    "too_long": "dropped (the question leaves no room)",
    "prompt_too_long": "dropped (the question leaves no room)",
    "same_when_cut": "dropped (equal where they are cut)",
    "turns_cut": "without their last turns",
    "answer_cut": "with an answer cut off",
}


def told(fates: Mapping[str, int], kind: str, key: str, seq_len_tokens: int) -> str | None:
    """A sentence for the terminal; None where all of them fit.

    Args:
        fates: counts by what became of them, ``whole`` among them.
        kind: conversations or pairs.
        key: the recipe's key that sets the room.
        seq_len_tokens: its value.
    """
    found = [f"{fates[fate]:,} {says}" for fate, says in SAYS.items() if fates.get(fate)]
    if not found:
        return None
    read = sum(fates.values())
    return f"of {read:,} {kind}: {', '.join(found)}; {key} is {seq_len_tokens:,}"
