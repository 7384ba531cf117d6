"""Chinese text with planted copies of many kinds, from a fixed seed."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SEED = 20261126
HAN = re.compile("[\u4e00-\u9fff]")
SENTENCE = re.compile("[^。！？\n]*[。！？\n]+|[^。！？\n]+$")
MARKS = str.maketrans("，。！？；：“”‘’（）、", ",.!?;:\"\"''(),")
WIDE = {c: c + 0xFEE0 for c in range(0x21, 0x7F)} | {0x20: 0x3000}
HEADERS = (
    "首页 > 新闻中心 > 正文\n发布时间：2024-05-17 09:32　来源：本站　浏览次数：1284\n\n",
    "您现在的位置：网站首页 / 资讯 / 详情\n字号：大 中 小　打印本页　收藏\n\n",
    "点击上方蓝字关注我们，每天一篇好文章\n\n",
)
FOOTERS = (
    "\n\n本文转载自网络，版权归原作者所有，如有侵权请联系我们删除。\n上一篇：没有　下一篇：没有",
    "\n\n责任编辑：小李　审核：小王\n扫描二维码，下载客户端，查看更多内容",
    "\n\n（完）\n喜欢就点个赞吧，欢迎在评论区留言，也欢迎转发给朋友。",
)


@dataclass(frozen=True, slots=True)
class Text:
    """One document."""

    id: str
    text: str


def read_texts(paths: Sequence[Path]) -> Iterator[Text]:
    """Documents of gzip JSON lines."""
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                yield Text(row["id"], row["text"])


@dataclass(frozen=True, slots=True)
class Planted:
    """Documents in an order of chance, and which of them were made of which.

    Args:
        texts: all of them.
        kinds: kind -> (number of the copy, number of its original) of each copy.
    """

    texts: list[Text]
    kinds: dict[str, list[tuple[int, int]]]


class Copier:
    """Makes copies of a text, by kind; None where a text does not lend itself.

    Args:
        seed: of all chance.
        han: characters to put for others, as often as they occur.
    """

    def __init__(self, seed: int, han: str) -> None:
        self.random = random.Random(seed)
        self.han = han

    def kinds(self) -> dict[str, Callable[[str], str | None]]:
        """Every kind of copy by name."""
        edits = {f"{p} % of characters replaced": self._editor(p / 100) for p in (1, 3, 5, 10)}
        return {
            "exact": lambda text: text, "punctuation": self.punctuation,
            "spaces and lines": self.spaces, "full-width": self.wide,
            "traditional (s2t)": lambda text: converted(text, "s2t"),
            "traditional (s2twp)": lambda text: converted(text, "s2twp"), **edits,
            "sentence dropped": self.dropped, "sentences reordered": self.reordered,
            "header and footer": self.framed, "head cut off": self.beheaded,
        }  # fmt: skip

    def punctuation(self, text: str) -> str | None:
        """ASCII marks for Chinese ones, and one in ten marks gone."""
        other = "".join(
            c for c in text.translate(MARKS) if c not in ",.!?;:" or self.random.random() > 0.1
        )
        return other if other != text else None

    def spaces(self, text: str) -> str:
        """Lines joined and broken anew, a space after one character in fifteen."""
        width = self.random.randint(18, 38)
        flat = re.sub(r"\s*\n\s*", "", text)
        lines = [flat[i : i + width] for i in range(0, len(flat), width)]
        return "\n".join(
            "".join(c + " " if self.random.random() < 1 / 15 else c for c in line) for line in lines
        )

    def wide(self, text: str) -> str | None:
        """Full-width forms for ASCII."""
        return text.translate(WIDE) if len(re.findall("[A-Za-z0-9]", text)) >= 10 else None

    def _editor(self, share: float) -> Callable[[str], str | None]:
        def edited(text: str) -> str:
            characters = list(text)
            places = [i for i, c in enumerate(text) if c.isalnum()]
            for place in self.random.sample(places, max(1, round(share * len(places)))):
                characters[place] = self.random.choice(self.han)
            return "".join(characters)

        return edited

    def dropped(self, text: str) -> str | None:
        """Without one of its sentences."""
        parts = SENTENCE.findall(text)
        if len(parts) < 8:
            return None
        place = self.random.choice([i for i, part in enumerate(parts) if len(part) >= 8] or [0])
        return "".join(parts[:place] + parts[place + 1 :])

    def reordered(self, text: str) -> str | None:
        """The sentences of one line in another order."""
        lines = text.split("\n")
        places = [i for i, line in enumerate(lines) if len(SENTENCE.findall(line)) >= 3]
        if not places:
            return None
        place = self.random.choice(places)
        parts = SENTENCE.findall(lines[place])
        lines[place] = "".join(self.random.sample(parts, len(parts)))
        return "\n".join(lines) if "\n".join(lines) != text else None

    def framed(self, text: str) -> str | None:
        """Between a site's header and footer."""
        if len(text) < 400:
            return None
        return self.random.choice(HEADERS) + text + self.random.choice(FOOTERS)

    def beheaded(self, text: str) -> str:
        """Without its first 5 to 15 %."""
        return text[int(len(text) * self.random.uniform(0.05, 0.15)) :]


@cache
def opencc(mode: str) -> Any:
    from opencc import OpenCC

    return OpenCC(mode)


def converted(text: str, mode: str) -> str | None:
    """The text in other characters, None where hardly any differs."""
    other: str = opencc(mode).convert(text)
    changed = sum(a != b for a, b in zip(text, other, strict=False))
    return other if changed >= 0.02 * len(text) else None


def plant(texts: list[Text], each: int, seed: int = SEED, min_chars: int = 200) -> Planted:
    """Add copies of ``each`` documents for every kind, each of another original; then shuffle."""
    chance = random.Random(seed)
    some = chance.sample(texts, min(len(texts), 2_000))
    copier = Copier(seed + 1, "".join(HAN.findall("".join(text.text for text in some))))
    able = [i for i, t in enumerate(texts) if min_chars <= len(t.text) <= 6_000
            and len(HAN.findall(t.text)) >= 0.5 * len(t.text)]  # fmt: skip
    chance.shuffle(able)
    every, made = list(texts), list[tuple[str, int, int]]()
    for kind, copy in copier.kinds().items():
        wanted, passed = each, list[int]()
        while wanted and able:
            original = able.pop()
            other = copy(texts[original].text)
            if other is None:
                passed.append(original)
                continue
            made.append((kind, len(every), original))
            every.append(Text(f"planted/{len(every)}", other))
            wanted -= 1
        able += passed
    order = chance.sample(range(len(every)), len(every))
    place = {old: new for new, old in enumerate(order)}
    kinds: dict[str, list[tuple[int, int]]] = {}
    for kind, copy_, original in made:
        kinds.setdefault(kind, []).append((place[copy_], place[original]))
    return Planted([every[old] for old in order], kinds)


def grown(texts: Sequence[Text], n_bytes: int, seed: int = SEED) -> Iterator[Text]:
    """Documents of so many bytes: all texts in an order of chance, then again, each time edited.

    From the second turn on every fifth character, where it is a Han character, is another one,
    drawn as often as it occurs: no five characters in a row are those of another turn. The same
    characters go to the same places of all documents, so that copies stay copies in every turn.
    """
    chance = random.Random(seed)
    order = chance.sample(range(len(texts)), len(texts))
    some = chance.sample(texts, min(len(texts), 2_000))
    han = HAN.findall("".join(text.text for text in some))
    for turn in itertools.count():
        others = chance.choices(han, k=8_191)
        for number in order:
            text = _otherwise(texts[number].text, others, turn % 5) if turn else texts[number].text
            yield Text(f"{turn}/{texts[number].id}", text)
            n_bytes -= len(text.encode())
            if n_bytes <= 0:
                return


def _otherwise(text: str, others: Sequence[str], offset: int) -> str:
    characters = list(text)
    for place in range(offset, len(text), 5):
        if "\u4e00" <= text[place] <= "\u9fff":
            characters[place] = others[place % len(others)]
    return "".join(characters)


def write_jsonl(texts: Iterable[Text], path: Path) -> float:
    """Write documents as JSON lines; returns their MB of UTF-8."""
    n_bytes = 0
    with path.open("w", encoding="utf-8") as file:
        for text in texts:
            file.write(json.dumps({"id": text.id, "text": text.text}, ensure_ascii=False) + "\n")
            n_bytes += len(text.text.encode())
    return n_bytes / 1e6
