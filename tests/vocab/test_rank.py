"""Which learnt pieces are worth an id."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.vocab.rank import rank
from hanhua.vocab.symbols import Learnt

ONES = np.ones(4)


def uses(**values: list[int]) -> dict[str, np.ndarray]:
    return {name: np.array(value, np.int64) for name, value in values.items()}


def names(found: list[Learnt]) -> list[str]:
    return [piece.piece for piece in found]


def test_a_piece_of_many_sources_comes_before_one_of_a_single_source():
    learnt = [Learnt("ab", 100, ("a", "b")), Learnt("cd", 90, ("c", "d"))]
    found = rank(learnt, uses(ab=[100, 0, 0, 0], cd=[20, 20, 20, 20]), ONES, ONES)
    assert names(found) == ["cd", "ab"]
    # … unless the others are not like the text that is to come
    weights = np.array([1.0, 0.1, 0.1, 0.1])
    found = rank(learnt, uses(ab=[100, 0, 0, 0], cd=[20, 20, 20, 20]), ONES, weights)
    assert names(found) == ["ab", "cd"]


def test_occurrences_are_per_character_of_a_source():
    learnt = [Learnt("ab", 1, ("a", "b")), Learnt("cd", 1, ("c", "d"))]
    chars = np.array([1000.0, 10.0])
    found = rank(learnt, uses(ab=[50, 0], cd=[0, 5]), chars, np.ones(2))
    assert names(found) == ["cd", "ab"]


def test_a_single_character_is_worth_twice():
    learnt = [Learnt("ab", 1, ("a", "b")), Learnt("c", 1)]
    assert names(rank(learnt, uses(ab=[11, 0], c=[10, 0]), np.ones(2), np.ones(2))) == ["c", "ab"]


def test_what_a_piece_was_used_for_falls_to_its_parts():
    # abcd stands for all that ab and cd are used for; without it they are worth most
    learnt = [
        Learnt("ab", 9, ("a", "b")), Learnt("cd", 9, ("c", "d")), Learnt("ef", 5, ("e", "f")),
        Learnt("abcd", 9, ("ab", "cd")),
    ]  # fmt: skip
    found = rank(learnt, uses(ab=[0, 0], cd=[0, 0], ef=[9, 9], abcd=[4, 4]), np.ones(2), np.ones(2))
    assert names(found) == ["ef", "ab", "cd", "abcd"]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_parts_come_first_and_nothing_is_lost(data):
    learnt: list[Learnt] = []
    known = ["a", "b"]
    for i in range(data.draw(st.integers(0, 25))):
        if data.draw(st.booleans()):
            parts = data.draw(st.sampled_from(known)), data.draw(st.sampled_from(known))
            name = f"({parts[0]}{parts[1]}{i})"
            learnt.append(Learnt(name, 1, parts))
        else:
            name = f"c{i}"
            learnt.append(Learnt(name, 1))
        known.append(name)
    counts = {p.piece: np.array(data.draw(st.lists(st.integers(0, 9), min_size=2, max_size=2)))
              for p in learnt if data.draw(st.booleans())}  # fmt: skip
    found = rank(learnt, counts, np.array([10.0, 0.0]), np.ones(2))
    assert sorted(names(found)) == sorted(names(learnt))
    place = {name: i for i, name in enumerate(names(found))}
    for piece in learnt:
        assert all(place[part] < place[piece.piece] for part in piece.parts if part in place)
    assert found == rank(learnt, counts, np.array([10.0, 0.0]), np.ones(2))
