"""How much of a text repeats itself: lines, paragraphs, n-grams.

Gopher's rules (Rae et al. 2021, https://arxiv.org/abs/2112.11446, table A1) restated for Han text:
n-grams are of characters where a language has no spaces and of words elsewhere, and one length
stands for the six of table A1, as their shares rise and fall together. A repeated n-gram is one
that stood in the text before, so the first copy is not counted.
"""

from __future__ import annotations

from hanhua.text.quality.facts import FEW_UNITS, Facts

_FEW_REPEATED = 0.2


def duplicate_line_share(facts: Facts) -> float | None:
    """Characters in lines that stood there before, of all characters in lines.

    Gopher drops from .20 of the characters or .30 of the lines, FineWeb from .10 of the characters
    (Penedo et al. 2024, https://arxiv.org/abs/2406.17557, section 3.6), FineWeb 2 for cmn_Hani
    from .287 of the lines (https://github.com/huggingface/fineweb-2, configs/cmn_Hani.yml).
    """
    if not facts.repeated_lines:
        return 0.0
    return facts.repeated_line_chars / (facts.chars - facts.lines + 1)


def duplicate_paragraph_share(facts: Facts) -> float | None:
    """Paragraphs (between empty lines) that stood there before, of all paragraphs.

    Gopher drops from .30 of the paragraphs or .20 of their characters. By characters the rule would
    say no more than the one for lines: a repeated paragraph is repeated lines. Hence 0 where these
    are fewer than a fifth of the empty lines.
    """
    if not facts.repeated_lines or facts.repeated_lines < _FEW_REPEATED * facts.empty_lines:
        return 0.0
    paragraphs = [paragraph for paragraph in facts.text.split("\n\n") if paragraph]
    return 1 - len(set(paragraphs)) / len(paragraphs)


def top_pair_share(facts: Facts) -> float | None:
    """Characters in copies of the commonest pair of units, of all units.

    Gopher drops from .20 (pairs of words); MAP-CC the same for pairs of Chinese characters (Du et
    al. 2024, https://arxiv.org/abs/2404.04167, and its filter.py), FineWeb 2 for cmn_Hani .256. Off
    unless asked for: all that it dropped here goes by the rules for four units and for n-grams.
    """
    if facts.units < FEW_UNITS:
        return None
    return min(facts.top_pair * 2 / facts.units, 1.0)


def top_quad_share(facts: Facts) -> float | None:
    """Characters in copies of the commonest n-gram of four units, of all units.

    Gopher and MAP-CC drop from .16, FineWeb 2 for cmn_Hani from .171. Catches keywords strung
    together, one of which is in each (上海搬家公司电话 上海搬家公司价格).
    """
    if facts.units < FEW_UNITS:
        return None
    return min(facts.top_quad * 4 / facts.units, 1.0)


def repeated_gram_share(facts: Facts) -> float | None:
    """N-grams that stood in the text before, of all n-grams; 8 characters or 5 words.

    Gopher drops from .15 (5 words) to .10 (10 words) of the characters, FineWeb 2 for cmn_Hani
    from .198 to .127 (words that jieba finds, about 8 to 16 characters), MAP-CC from .60 (5 to 10
    characters), ChineseWebText from .50 (13 characters, all copies counted).
    """
    if facts.units < FEW_UNITS:
        return None
    return facts.repeated_grams / facts.grams
