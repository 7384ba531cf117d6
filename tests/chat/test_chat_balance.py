"""Shares of tasks and domains, alone and with those of languages."""

from __future__ import annotations

from collections import Counter

import pytest
from chat_cases import quick
from hypothesis import event, given
from hypothesis import strategies as st
from pydantic import ValidationError
from test_chatdata import alpaca, config, run, write

from hanhua.chat.balance import cell_of, wishes
from hanhua.chat.conversation import Conversation, Turn, read_conversations
from hanhua.chat.select import fill_shares
from hanhua.core.errors import MixtureError


def talks(sizes, answer="x" * 10):
    """(language, domain, task) -> number of conversations with answers of ten bytes."""
    return [
        Conversation(f"{cell}/{i}", "", (Turn("user", f"{cell} {i}"), Turn("assistant", answer)),
                     cell[0], task=cell[2], domain=cell[1])
        for cell, n in sizes.items() for i in range(n)
    ]  # fmt: skip


def fill(conversations, tolerance=0.02, budget=None, **tables):
    return fill_shares(
        conversations, tables.pop("shares", None), budget_bytes=budget, tolerance=tolerance,
        seed=3, **tables,
    )  # fmt: skip


HAVE = {("zh", "law", ""): 60, ("zh", "", ""): 400, ("en", "law", ""): 30, ("en", "", ""): 500,
        ("en", "food", ""): 50}  # fmt: skip


def test_one_table_takes_all_of_the_scarcest_and_keeps_the_mix_of_the_rest():
    found = fill(talks(HAVE), domains={"law": 0.2, "*": 0.8})
    sizes = Counter((c.language, c.domain) for c in found.kept)
    assert sizes["zh", "law"] + sizes["en", "law"] == 90
    assert len(found.kept) == 450
    told = found.balance["domains"]
    assert told["asked"] == {"law": 0.2, "*": 0.8}
    assert told["counted"] == pytest.approx({"law": 0.2, "*": 0.8})
    assert found.asked == {}
    assert len(found.kept) + len(found.left) == sum(HAVE.values())
    assert 20 < sizes["en", "food"] * 950 / 360 < 80  # as many as there are of them


def test_tables_of_languages_and_domains_hold_at_once():
    shares = {"zh": 0.5, "en": 0.5}
    found = fill(talks(HAVE), shares=shares, domains={"law": 0.2, "unnamed": 0.8})
    sizes = Counter((c.language, c.domain) for c in found.kept)
    assert found.counted == pytest.approx(shares, abs=0.02)
    assert found.balance["domains"]["counted"]["law"] == pytest.approx(0.2, abs=0.02)
    assert sizes["zh", "law"] + sizes["en", "law"] == pytest.approx(90, abs=3)  # as much as can be
    assert ("en", "food") not in sizes
    assert found.asked == shares


def test_a_budget_is_shared_out_and_too_much_is_an_error():
    found = fill(talks(HAVE), budget=1000, domains={"law": 0.5, "*": 0.5})
    assert sum(c.target_bytes for c in found.kept) == pytest.approx(1000, abs=40)
    with pytest.raises(MixtureError, match="too little of law") as error:
        fill(talks(HAVE), budget=4000, domains={"law": 0.5, "*": 0.5})
    assert error.value.where == "chatdata.domains"
    assert "law 900" in str(error.value.found)


def test_a_name_with_nothing_and_tables_that_exclude_each_other_are_errors():
    with pytest.raises(MixtureError, match="too little of medical") as error:
        fill(talks(HAVE), domains={"medical": 0.3, "*": 0.7})
    assert "`domain`" in str(error.value.fix)
    apart = talks({("zh", "law", "qa"): 50, ("en", "food", "chat"): 50})
    with pytest.raises(MixtureError, match="cannot be met together") as error:
        fill(apart, shares={"zh": 0.5, "en": 0.5}, domains={"law": 0.9, "food": 0.1})
    assert error.value.where == "chatdata.shares, chatdata.domains"


CELLS = st.dictionaries(
    st.tuples(st.sampled_from(["zh", "en"]), st.sampled_from(["law", "food", ""]),
              st.sampled_from(["qa", ""])), st.integers(10, 40), min_size=1,
)  # fmt: skip


@quick
@given(CELLS, st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_what_is_taken_has_the_shares_or_says_why_not(sizes, law, qa, languages):
    tables = {"domains": {"law": law / 10, "*": 1 - law / 10},
              "tasks": {"qa": qa / 10, "unnamed": 1 - qa / 10}}  # fmt: skip
    shares = {"zh": 0.5, "en": 0.5} if languages else None
    conversations = talks(sizes)
    try:
        found = fill(conversations, tolerance=0.08, shares=shares, **tables)
    except MixtureError:
        event("refused")
        return
    event("filled")
    assert found.kept
    ids = {c.id for c in found.kept}
    assert len(ids) == len(found.kept)
    for kind, table in tables.items():
        for name, share in table.items():
            assert found.balance[kind]["counted"].get(name, 0) == pytest.approx(share, abs=0.08)
    asked = wishes(shares, tables["tasks"], tables["domains"])
    assert all(cell_of(c, asked) is not None for c in found.kept)


def test_the_section_names_domains_balances_and_tags_them(tmp_path):
    law = [alpaca(f"第{i}条法律是什么？", f"这是第{i}条法律的内容。") for i in range(100)]
    rest = [alpaca(f"第{i}个问题？", f"这是第{i}个问题的答案。") for i in range(300)]
    paths = [write(tmp_path / "law.json", law), write(tmp_path / "rest.json", rest)]
    section = config(
        *paths, held_out=10, domains={"law": 0.6, "unnamed": 0.4}, domain_tag=True,
    ).model_dump(by_alias=True)  # fmt: skip
    section["sources"][0]["domain"] = "law"
    section = type(config(*paths)).model_validate(section)
    result = run(tmp_path / "out", section)
    told = result.metrics["balance"]["domains"]
    assert told["counted"]["law"] == pytest.approx(0.6, abs=0.02)
    assert result.metrics["dropped"]["share"] > 100
    for name in ("train", "held_out"):
        found = list(read_conversations(tmp_path / "out" / f"{name}.parquet"))
        tagged = [c.turns[0].text.startswith("[law] ") for c in found]
        assert tagged == [c.domain == "law" for c in found]
        assert 0 < sum(tagged) < len(found)
    with pytest.raises(ValidationError, match="shares of domains add up to"):
        config(*paths, domains={"law": 0.6})
