"""The learners against a plain one that recounts everything at every step."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.vocab.count import WEIGHT_UNIT, Runs, Source
from hanhua.vocab.learn import CompiledLearner, Learning
from hanhua.vocab.learn_array import ArrayLearner
from hanhua.vocab.native import NATIVE
from hanhua.vocab.symbols import Alphabet


class Plain:
    """The same rules, written for reading: runs are lists of symbol numbers."""

    def __init__(self, runs: Runs, alphabet: Alphabet, max_chars: int, floor: int) -> None:
        self.strings = sorted(set("".join(runs.texts)))
        self.table = {s: i for i, s in enumerate(self.strings)}
        self.active = {i for i, s in enumerate(self.strings) if s in alphabet.known}
        weights = runs.row_weights.tolist()
        self.runs = [([self.table[c] for c in t], w)
                     for t, w in zip(runs.texts, weights, strict=True)]  # fmt: skip
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

    def uses(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for run, weight in self.runs:
            for symbol in run:
                found[self.strings[symbol]] += weight
        return found


LEARNERS = [
    ArrayLearner,
    pytest.param(
        CompiledLearner,
        marks=pytest.mark.skipif(NATIVE is None, reason="no C compiler was there"),
    ),
]
runs_of = st.dictionaries(
    st.text("一二三，▁x", min_size=1, max_size=9), st.integers(1, 6), min_size=1, max_size=12
)


@pytest.mark.parametrize("kind", LEARNERS)
@settings(max_examples=200, deadline=None)
@given(runs_of, st.sampled_from([(), ("一二",), ("一一", "一二三"), ("二三", "一二三")]))
def test_a_learner_gives_what_the_plain_one_gives(kind, texts, base_pieces):
    keys = sorted(texts)
    runs = Runs.of(keys, [texts[k] * WEIGHT_UNIT for k in keys])
    known = frozenset("，▁一二") if base_pieces else frozenset("，▁")
    cost = {c: 3 for c in "一二三" if c not in known}
    alphabet = Alphabet(known, cost, base_pieces)
    ours, plain = (kind(runs, alphabet, 5, WEIGHT_UNIT) for kind in (kind, Plain))
    for _ in range(60):
        one, two = ours.next(), plain.next()
        assert (one and (one.piece, one.count * WEIGHT_UNIT)) == two
        if one is None:
            break
    found = {piece: int(use.sum()) for piece, use in ours.uses().items() if use.sum()}
    assert found == plain.uses()


@pytest.mark.parametrize("kind", LEARNERS)
def test_uses_are_told_by_source_and_parts_of_a_run_count_as_it(kind):
    runs = Runs.of(["一二", "一二三", "三"], [5, 3, 2])
    runs = replace(
        runs, facts=(Source("a", 1, 1), Source("b", 1, 1)), rows=np.array([0, 1, 1]),
        starts=np.array([0, 2, 3], np.uint32), sources=np.array([0, 1, 1], np.uint32),
        counts=np.array([5, 2, 3], np.uint32),
    )  # fmt: skip
    learner = kind(runs, Alphabet(frozenset("一二三"), {}), 2, 1)
    assert learner.next().piece == "一二"
    found = {piece: use.tolist() for piece, use in learner.uses().items() if use.sum()}
    assert found == {"一二": [5, 5], "三": [0, 6]}


@pytest.mark.skipif(NATIVE is None, reason="no C compiler was there")
@pytest.mark.parametrize("seed", range(3))
def test_both_learners_agree_on_a_larger_text(seed):
    rng = random.Random(seed)
    letters = [chr(0x4E00 + i) for i in range(60)]
    texts = ["".join(rng.choices(letters, range(60, 0, -1), k=rng.randint(1, 30)))
             for _ in range(3000)]  # fmt: skip
    texts += ["哈" * n for n in range(1, 40)]
    runs = Runs.of(texts, [rng.randint(1, 900) for _ in texts])
    alphabet = Alphabet(frozenset(letters[:40]), dict.fromkeys([*letters[40:], "哈"], 3),
                        [letters[0] + letters[1], letters[0] * 3])  # fmt: skip
    one, two = (kind(runs, alphabet, 8, 500) for kind in (CompiledLearner, ArrayLearner))
    count = 0
    while (piece := one.next()) is not None:
        assert piece == two.next()
        count += 1
    assert two.next() is None
    assert count > 500
    there, expected = one.uses(), two.uses()
    assert there.keys() == expected.keys()
    assert all((there[name] == expected[name]).all() for name in there)


def learn(runs, alphabet, expected, **values):
    """Every piece, by the compiled learner and by the one in numpy."""
    found = [list(Learning(runs, alphabet, expected, native=native, **values))
             for native in ([False, True] if NATIVE else [False])]  # fmt: skip
    assert all(one == found[0] for one in found)
    return found[0]


def test_pieces_come_best_first_and_characters_compete_with_merges():
    runs = Runs.of(["一二", "三"], [100 * WEIGHT_UNIT, 30 * WEIGHT_UNIT])
    alphabet = Alphabet(frozenset(), {"一": 3, "二": 3, "三": 3})
    found = learn(runs, alphabet, 10)
    assert [(p.piece, p.count) for p in found] == [
        ("二", 100),
        ("一", 100),
        ("一二", 100),
        ("三", 30),
    ]
    assert found[2].parts == ("一", "二")


def test_more_pieces_than_expected_come_from_a_second_pass_without_repeats():
    texts = [chr(0x4E00 + i) + chr(0x4E00 + i * 7 % 97) for i in range(97)]
    runs = Runs.of(sorted(texts), [(i + 3) * WEIGHT_UNIT for i in range(97)])
    alphabet = Alphabet(frozenset(), {c: 3 for t in texts for c in t})
    few = [p.piece for p in learn(runs, alphabet, 1)]
    many = [p.piece for p in learn(runs, alphabet, 1000)]
    assert len(few) == len(set(few)) > 97
    assert set(few) == set(many)


def test_rare_and_overlong_pieces_are_not_made():
    runs = Runs.of(["一" * 12, "二三"], [5 * WEIGHT_UNIT, WEIGHT_UNIT])
    alphabet = Alphabet(frozenset("一二三"), {})
    found = [p.piece for p in learn(runs, alphabet, 10, max_piece_chars=4, min_count=2)]
    assert max(map(len, found)) == 4
    assert "二三" not in found


def test_a_text_with_nothing_to_learn_gives_nothing():
    assert learn(Runs.of([], []), Alphabet(frozenset(), {}), 5) == []
