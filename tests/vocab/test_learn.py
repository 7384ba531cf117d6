"""The array learner against a plain one that recounts everything at every step."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.vocab.count import WEIGHT_UNIT, Runs
from hanhua.vocab.learn import Alphabet, Learner, learn


class Plain:
    """The same rules, written for reading: runs are lists of symbol numbers."""

    def __init__(self, runs: Runs, alphabet: Alphabet, max_chars: int, floor: int) -> None:
        self.strings = sorted(set("".join(runs.texts)))
        self.table = {s: i for i, s in enumerate(self.strings)}
        self.active = {i for i, s in enumerate(self.strings) if s in alphabet.known}
        self.runs = [([self.table[c] for c in t], w)
                     for t, w in zip(runs.texts, runs.weights, strict=True)]  # fmt: skip
        self.alphabet, self.max_chars, self.floor = alphabet, max_chars, floor
        for piece in alphabet.pieces:
            cuts = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
            if any(a in self.table and b in self.table for a, b in cuts):
                self.join(piece)

    def pairs(self) -> Counter[tuple[int, int]]:
        found: Counter[tuple[int, int]] = Counter()
        for run, weight in self.runs:
            for a, b in itertools.pairwise(run):
                if a in self.active and b in self.active:
                    found[a, b] += weight
        return found

    def join(self, piece: str) -> None:
        new = self.table.setdefault(piece, len(self.strings))
        if new == len(self.strings):
            self.strings.append(piece)
        self.active.add(new)
        for cut in range(1, len(piece)):
            pair = (self.table.get(piece[:cut]), self.table.get(piece[cut:]))
            if None in pair or not set(pair) <= self.active:
                continue
            self.runs = [(self.merged(run, pair, new), w) for run, w in self.runs]

    @staticmethod
    def merged(run: list[int], pair: tuple[int, int], new: int) -> list[int]:
        out, i = [], 0
        while i < len(run):
            if tuple(run[i : i + 2]) == pair:
                out.append(new)
                i += 2
            else:
                out.append(run[i])
                i += 1
        return out

    def next(self) -> tuple[str, int] | None:
        while True:
            pairs = self.pairs()
            text = {p: self.strings[p[0]] + self.strings[p[1]] for p in pairs}
            free = [p for p in pairs if text[p] in self.table]
            if free:
                self.join(text[min(free)])
                continue
            options = [(-n, p[0] << 32 | p[1]) for p, n in pairs.items()
                       if n >= self.floor and len(text[p]) <= self.max_chars]  # fmt: skip
            counts: Counter[int] = Counter()
            for run, weight in self.runs:
                for s in run:
                    counts[s] += weight
            options += [(-n * (self.alphabet.cost[self.strings[s]] - 1), -1 - s)
                        for s, n in counts.items()
                        if s not in self.active and self.strings[s] in self.alphabet.cost
                        and n >= self.floor]  # fmt: skip
            if not options:
                return None
            rank, key = min(options)
            if key < 0:
                self.active.add(-1 - key)
                return self.strings[-1 - key], counts[-1 - key]
            piece = self.strings[key >> 32] + self.strings[key & 0xFFFFFFFF]
            self.join(piece)
            return piece, -rank


runs_of = st.dictionaries(
    st.text("一二三，▁x", min_size=1, max_size=9), st.integers(1, 6), min_size=1, max_size=12
)


@settings(max_examples=150, deadline=None)
@given(runs_of, st.sampled_from([(), ("一二",), ("一一", "一二三"), ("二三", "一二三")]))
def test_the_array_learner_gives_what_the_plain_one_gives(texts, base_pieces):
    keys = sorted(texts)
    runs = Runs(keys, [texts[k] * WEIGHT_UNIT for k in keys], 0, 0)
    known = frozenset("，▁一二") if base_pieces else frozenset("，▁")
    cost = {c: 3 for c in "一二三" if c not in known}
    alphabet = Alphabet(known, cost, base_pieces)
    ours, plain = (kind(runs, alphabet, 5, WEIGHT_UNIT) for kind in (Learner, Plain))
    for _ in range(60):
        one, two = ours.next(), plain.next()
        assert (one and (one.piece, one.count * WEIGHT_UNIT)) == two
        if one is None:
            break


def test_pieces_come_best_first_and_characters_compete_with_merges():
    runs = Runs(["一二", "三"], [100 * WEIGHT_UNIT, 30 * WEIGHT_UNIT], 0, 0)
    alphabet = Alphabet(frozenset(), {"一": 3, "二": 3, "三": 3})
    found = list(learn(runs, alphabet, 10))
    assert [(p.piece, p.count) for p in found] == [
        ("二", 100),
        ("一", 100),
        ("一二", 100),
        ("三", 30),
    ]
    assert found[2].parts == ("一", "二")


def test_more_pieces_than_expected_come_from_a_second_pass_without_repeats():
    texts = [chr(0x4E00 + i) + chr(0x4E00 + i * 7 % 97) for i in range(97)]
    runs = Runs(sorted(texts), [(i + 3) * WEIGHT_UNIT for i in range(97)], 0, 0)
    alphabet = Alphabet(frozenset(), {c: 3 for t in texts for c in t})
    few = [p.piece for p in learn(runs, alphabet, 1)]
    many = [p.piece for p in learn(runs, alphabet, 1000)]
    assert len(few) == len(set(few)) > 97
    assert set(few) == set(many)


def test_rare_and_overlong_pieces_are_not_made():
    runs = Runs(["一" * 12, "二三"], [5 * WEIGHT_UNIT, WEIGHT_UNIT], 0, 0)
    alphabet = Alphabet(frozenset("一二三"), {})
    found = [p.piece for p in learn(runs, alphabet, 10, max_piece_chars=4, min_count=2)]
    assert max(map(len, found)) == 4
    assert "二三" not in found


def test_a_text_with_nothing_to_learn_gives_nothing():
    assert list(learn(Runs([], [], 0, 0), Alphabet(frozenset(), {}), 5)) == []
