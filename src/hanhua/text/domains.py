"""Kinds of text: a document of a language may be of a domain, such as news, web, books or code.

Whoever asks for text names it by a key: ``zh`` for a language, ``zh/news`` for one domain of it.
Losses, guards and reports know languages only: to them ``zh/news`` is ``zh``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hanhua.text.config import CorpusConfig

DOMAIN = "[a-z0-9_-]+"
_DOMAIN_KEY = re.compile(f"[A-Za-z]{{2,3}}([-_][A-Za-z0-9]+)*/{DOMAIN}")


def language_of(key: str) -> str:
    """``zh`` of ``zh/news``, and of ``zh``."""
    return key.partition("/")[0]


def domain_of(key: str) -> str:
    """``news`` of ``zh/news``; empty for a language."""
    return key.partition("/")[2]


def has_domains(keys: Iterable[str]) -> bool:
    """Whether any key names a domain."""
    return any("/" in key for key in keys)


def check_key(key: str) -> None:
    """Refuse what looks like a domain of a language and is none.

    Raises:
        ValueError: showing how it is written.
    """
    if "/" in key and not _DOMAIN_KEY.fullmatch(key):
        raise ValueError(
            f"{key!r} is no language and domain; write it as zh/news, the domain in small letters, "
            "digits, _ and -"
        )


def check_known(keys: Iterable[str], corpus: CorpusConfig) -> None:
    """Refuse a domain that no source has.

    Args:
        keys: of languages and domains.
        corpus: the recipe's section.

    Raises:
        ValueError: naming those that sources have.
    """
    found: set[str] = set()
    for source in corpus.sources:
        if source.domain is not None:
            languages = corpus.languages if source.language == "auto" else (source.language,)
            found |= {f"{language}/{source.domain}" for language in languages}
    for key in sorted(keys):
        if "/" in key and key not in found:
            raise ValueError(
                f"tokens.shares names {key}, and corpus.sources have "
                f"{', '.join(sorted(found)) or 'no domains'}"
            )
