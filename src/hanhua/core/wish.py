"""What is wished of a mixture, as one writes it: ``en+1%``, ``en+0.02``, ``zh<=1.10``, ``best``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hanhua.core.errors import UsageError

_RISE = re.compile(r"\s*(\w[\w-]*?)\s*([+-])\s*(\d*\.?\d+)\s*(%?)\s*")
_LIMIT = re.compile(r"\s*(\w[\w-]*)\s*(?:<=|≤|<)\s*(\d*\.?\d+)\s*")


@dataclass(frozen=True, slots=True)
class Wish:
    """A limit that one language's loss must keep, or the best sum of both.

    Args:
        text: as written.
        language: whose loss is limited; empty for the best sum.
        rise: over the base's loss, in its unit or as a part of it; or the limit itself.
        kind: ``best``, ``part`` (of the base's loss), ``rise`` (in its unit) or ``limit``.
    """

    text: str
    language: str = ""
    rise: float = 0.0
    kind: str = "best"

    def limit(self, base: Mapping[str, float]) -> float:
        """The greatest loss allowed.

        Args:
            base: loss before training, by language.

        Raises:
            UsageError: when the language was not measured.
        """
        if self.language not in base:
            raise UsageError(
                "The wish names a language that was not measured.",
                where="wish", found=self.text, fix=f"name one of {', '.join(base)}",
            )  # fmt: skip
        start = base[self.language]
        ways = {"part": start * (1 + self.rise), "rise": start + self.rise, "limit": self.rise}
        return ways[self.kind]


def parse_wish(text: str) -> Wish:
    """Read a wish.

    Args:
        text: ``en+1%``: English may rise by 1 % over the base; ``en+0.02``: by 0.02 in the study's
            unit; ``zh<=1.10``: Chinese must come down to 1.10; ``best``: least sum of both losses,
            each as a part of the base's.

    Raises:
        UsageError: for anything else.
    """
    if text.strip().lower() == "best":
        return Wish(text.strip())
    if found := _RISE.fullmatch(text):
        language, sign, amount, percent = found.groups()
        rise = float(amount) * (-1 if sign == "-" else 1)
        if percent and rise > -100 and math.isfinite(rise):
            return Wish(text.strip(), language, rise / 100, "part")
        if not percent and math.isfinite(rise):
            return Wish(text.strip(), language, rise, "rise")
    if (found := _LIMIT.fullmatch(text)) and float(found[2]) > 0:
        return Wish(text.strip(), found[1], float(found[2]), "limit")
    raise UsageError(
        "This wish cannot be read.", where="--wish", found=text or "nothing",
        fix="write en+1%, en+0.02, zh<=1.10 or best",
    )  # fmt: skip
