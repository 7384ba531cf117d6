"""The ``tokens`` section: how long the rows are, how many tokens, in which shares."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from hanhua.core.config import Added, Section, Share
from hanhua.text.domains import check_key, language_of


class TokensConfig(Section):
    """What to pack. Shares are shares of tokens, counted from the rows as written."""

    seq_len_tokens: Annotated[int, Field(ge=8, description="tokens in a row")] = 512
    budget_tokens: Annotated[
        int, Field(gt=0, description="tokens to write, all languages together, repeats counted")
    ] = 8_000_000
    shares: Annotated[
        dict[str, Share],
        Field(min_length=1, description="language, or language/domain, -> share of the tokens; "
              "together 1. A language beside domains of it is what they leave"),
    ] = Field(default_factory=lambda: {"zh": 0.7, "en": 0.3})  # fmt: skip
    max_epochs: Annotated[
        float, Field(gt=0, description="how often a language's corpus may be repeated at most")
    ] = 4.0
    tolerance: Annotated[
        float, Field(gt=0, lt=1, description="how far a counted share may lie from the asked one")
    ] = 0.01
    pack_tokens: Annotated[
        int | None,
        Added(),
        Field(gt=0, description="documents packed together hold about so many tokens: the first "
              "rows of a language are then the same whatever its share or the budget, for a little "
              "more padding; left out: a million documents"),
    ] = None  # fmt: skip
    pool_tokens: Annotated[
        int | None,
        Added(),
        Field(gt=0, description="rows are a random part of those of documents that hold about so "
              "many tokens of each language, if that is more than its share: a small budget is "
              "then a sample of a large one, and not a few long documents, and the first rows of "
              "a language are the same whatever its share; left out: whole documents only"),
    ] = None  # fmt: skip
    spare: Annotated[
        dict[str, Annotated[float, Field(ge=0)]] | None,
        Added(),
        Field(description="language -> tokens to write beyond its share, as a part of the budget, "
              "for pretrain.steer: as far as there is text that was not taken yet. Left out: as "
              "much as the bounds of steering can ask for"),
    ] = None  # fmt: skip
    order: Annotated[
        int,
        Added(),
        Field(ge=0, description="another order of the documents, as another seed would give: added "
              "to the recipe's"),
    ] = 0  # fmt: skip

    @model_validator(mode="after")
    def _whole(self) -> TokensConfig:
        for key in self.shares:
            check_key(key)
        total = sum(self.shares.values())
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"shares must sum to 1, these sum to {total:g}")
        languages = {language_of(key) for key in self.shares}
        for name in self.spare or {}:
            if name not in languages:
                known = ", ".join(sorted(languages))
                raise ValueError(f"spare names {name}, but the shares are of {known}")
        return self

    def by_language(self) -> dict[str, float]:
        """Shares of languages, their domains together."""
        found: dict[str, float] = {}
        for key, share in self.shares.items():
            found[language_of(key)] = found.get(language_of(key), 0.0) + share
        return found

    def spare_tokens(self, key: str) -> int:
        """Tokens to write beyond the share of a language or domain: domains by their shares."""
        spare = (self.spare or {}).get(language_of(key), 0.0)
        whole = self.by_language()[language_of(key)]
        return round(spare * self.budget_tokens * self.shares[key] / whole) if whole else 0
