from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hanhua.text.copies.repeated import LineFile, _line_key, document_keys, line_keys, remove_lines

FOOT = "本站所有文章版权归作者所有，转载请注明出处。"
LINES = st.lists(
    st.one_of(st.text(st.sampled_from("天地人1a 。"), max_size=14), st.just(FOOT)), max_size=8
)


@given(st.one_of(LINES.map("\n".join), st.text(max_size=80)))
def test_a_line_has_one_key_in_both_parts(text):
    assert line_keys(text).tolist() == [_line_key(line) for line in text.split("\n")]


@given(st.lists(LINES, max_size=12), st.integers(1, 4), st.integers(1, 400))
def test_lines_of_more_documents_than_allowed_go_and_no_others(
    tmp_path_factory, docs, most, budget
):
    texts = ["\n".join(lines) for lines in docs]
    file = LineFile(tmp_path_factory.mktemp("lines") / "keys")
    file.append(map(document_keys, texts))
    file.close()
    repeated = file.repeated(most, budget)
    assert np.all(repeated[1:] > repeated[:-1])
    holders = Counter(key for text in texts for key in set(line_keys(text).tolist()) - {0})
    assert set(repeated.tolist()) == {key for key, count in holders.items() if count > most}
    for text in texts:
        left, gone = remove_lines(text, repeated)
        stays = [line for line in text.split("\n") if holders[_line_key(line)] <= most]
        assert left == ("\n".join(stays).strip() if gone else text)
        assert gone == len(text.split("\n")) - len(stays)


def test_how_a_line_is_written_makes_no_difference():
    same = (FOOT, " ".join(FOOT), "本站所有文章版權歸作者所有,轉載請註明出處!")
    assert len({_line_key(line) for line in same}) == 1
    assert _line_key("很短的行") == 0
