from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.core.errors import InputError, ModelError
from hanhua.core.progress import Progress, Silent
from hanhua.eval.resume import Journals, Work, pieces_by, pieces_of


class Maker:
    """Squares numbers, remembers what it was asked, and stops where it is told to."""

    def __init__(self, stop_after: int = 10**9, bad: Sequence[int] = ()) -> None:
        self.asked: list[int] = []
        self.stop_after, self.bad = stop_after, set(bad)

    def __call__(self, some: Sequence[int], progress: Progress) -> list[dict[str, Any]]:
        if self.stop_after <= 0:
            raise KeyboardInterrupt
        self.stop_after -= 1
        self.asked += some
        if self.bad & set(some):
            raise RuntimeError(f"cannot {self.bad & set(some)}")
        with progress.bar("", None, "") as bar:
            bar.advance(len(some))
        return [{"id": str(i), "square": i * i, "line": "a\u2028b"} for i in some]


def work(maker: Maker, n: int = 10, size: int = 3, **means: Any) -> Work[int]:
    return Work(name="squares", items=range(n), key=str, content=str, pieces=pieces_of(n, size),
                compute=maker, means=means)  # fmt: skip


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 5), st.integers(0, 40))
def test_killed_and_torn_it_ends_the_same(n: int, size: int, stop: int, torn: int) -> None:
    import tempfile

    whole = Journals(None, {}).measure(work(Maker(), n, size), Silent())
    with tempfile.TemporaryDirectory() as folder:
        journals = Journals(Path(folder), {"model": "m"})
        first, second = Maker(stop), Maker()
        try:
            journals.measure(work(first, n, size), Silent())
        except KeyboardInterrupt:
            file = Path(folder) / "squares.jsonl"
            file.write_bytes(file.read_bytes()[: -torn or None])
        assert journals.measure(work(second, n, size), Silent()) == whole
        if torn == 0:
            assert not set(first.asked) & set(second.asked)
            assert sorted(first.asked + second.asked) == list(range(n))


@pytest.mark.parametrize("change", ["model", "settings", "items"])
def test_a_journal_of_anything_else_is_thrown_away(tmp_path: Path, change: str) -> None:
    Journals(tmp_path, {"model": "a"}).measure(work(Maker(), shots=0), Silent())
    again = Maker()
    identity = {"model": "b" if change == "model" else "a"}
    wanted = work(again, n=11 if change == "items" else 10, shots=1 if change == "settings" else 0)
    Journals(tmp_path, identity).measure(wanted, Silent())
    assert again.asked == list(wanted.items)


def test_an_item_that_fails_is_recorded_and_tried_again(tmp_path: Path) -> None:
    journals = Journals(tmp_path, {})
    rows = journals.measure(work(Maker(bad=[4])), Silent())
    assert [row["id"] for row in rows] == [str(i) for i in range(10)]
    assert [i for i, row in enumerate(rows) if "error" in row] == [4]
    assert "RuntimeError: cannot {4}" in rows[4]["error"]
    assert any("error" in json.loads(x) for x in (tmp_path / "squares.jsonl").read_text().split("\n") if x)  # fmt: skip # noqa: E501
    mended = Maker()
    rows = journals.measure(work(mended), Silent())
    assert mended.asked == [3, 4, 5]
    assert not any("error" in row for row in rows)


def test_where_nothing_can_be_measured_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Not one item"):
        Journals(tmp_path, {}).measure(work(Maker(bad=range(10))), Silent())


def test_two_items_of_one_key_are_refused() -> None:
    asked = Work(name="x", items=[1, 2, 1], key=str, content=str, pieces=[[0, 1, 2]],
                 compute=Maker())  # fmt: skip
    with pytest.raises(InputError, match="one id") as error:
        Journals(None, {}).measure(asked, Silent())
    assert error.value.found == "1"


def test_a_mistake_of_the_user_is_no_failed_item() -> None:
    def refuse(_: Sequence[int], __: Progress) -> list[dict[str, Any]]:
        raise InputError("No such file.")

    asked = Work(name="x", items=[1], key=str, content=str, pieces=[[0]], compute=refuse)
    with pytest.raises(InputError):
        Journals(None, {}).measure(asked, Silent())


def test_pieces_hold_each_place_once() -> None:
    groups = ["a", "b", "a", "a", "b", "c"]
    found = pieces_by(groups, 2)
    assert sorted(i for piece in found for i in piece) == list(range(6))
    assert all(len({groups[i] for i in piece}) == 1 and len(piece) <= 2 for piece in found)
    assert [list(p) for p in pieces_of(5, 2)] == [[0, 1], [2, 3], [4]]
