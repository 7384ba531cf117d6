"""What holds for every extended tokenizer, whatever the base."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from hanhua.core.errors import InputError, ModelError
from hanhua.text.document import Document
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.extend import Extended, extend
from hanhua.vocab.family import ByteFamily, Family, byte_letters, family_of
from hanhua.vocab.gather import gather
from hanhua.vocab.learn import Learnt
from hanhua.vocab.script import script_of
from hanhua.vocab.tokenizer import read_tokenizer
from hanhua.vocab.variants import guarded

from .conftest import learnt_on

Pair = tuple[Family, Extended]
relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# Any text but ▁, which SentencePiece itself can't tell from a space, and surrogates.
texts = st.text(st.characters(exclude_characters="▁", exclude_categories=["Cs"]), max_size=40)
mixed = st.lists(
    st.sampled_from(
        ["小明", "学校", "，", "。", " ", "  ", "\n", "Tom ", "river", "“", "！", "𠮷", "😀", "\0"]
    ),
    max_size=16,
).map("".join)


def ids(files, text: str) -> list[int]:
    return files.backend.encode(text, add_special_tokens=False).ids


def test_exactly_as_many_ids_as_asked_for(extended: Pair):
    family, found = extended
    assert len(found.files.fast()) == len(family.files.fast()) + 96
    assert [p.id for p in found.pieces] == list(range(found.base_tokens, found.base_tokens + 96))


def test_old_ids_keep_their_token(extended: Pair):
    family, found = extended
    old, new = family.files.backend, found.files.backend
    assert all(old.id_to_token(i) == new.id_to_token(i) for i in range(found.base_tokens))


def test_every_piece_encodes_to_its_own_id(extended: Pair):
    family, found = extended
    whole = [p for p in found.pieces if p.count]
    assert len(whole) > 50
    for piece in whole:
        tokens = found.files.backend.model.tokenize(family.written(piece.piece))
        assert [token.id for token in tokens] == [piece.id]


def test_every_piece_holds_a_character_of_the_target(extended: Pair):
    own = script_of("zh").own
    assert all(own.search(piece.piece) for piece in extended[1].pieces if piece.count)
    assert not any(c.isdigit() for p in extended[1].pieces if p.count for c in p.piece)


@relaxed
@given(texts | mixed)
@example("  小明，学校。\n\n Tom")
@example("</s> <0x41> ▁".replace("▁", ""))
def test_text_decodes_to_itself(extended: Pair, text: str):
    special = {t.content for t in extended[1].files.backend.get_added_tokens_decoder().values()}
    if any(token in text for token in special):
        return
    assert extended[1].files.backend.decode(ids(extended[1].files, text)) == text


@relaxed
@given(texts)
def test_text_without_the_targets_characters_keeps_its_ids(extended: Pair, text: str):
    text = script_of("zh").own.sub("x", text)
    assert ids(extended[0].files, text) == ids(extended[1].files, text)


def test_chinese_takes_fewer_tokens(extended: Pair, sentences: dict[str, list[str]]):
    family, found = extended
    before, after = (
        sum(len(ids(f, t)) for t in sentences["zh"]) for f in (family.files, found.files)
    )
    assert after < before / 2


def test_base_ids_spell_the_piece(extended: Pair):
    family, found = extended
    for piece in found.pieces:
        assert len(piece.base_ids) > 1
        spelt = family.files.backend.decode(list(piece.base_ids))
        if piece.count:
            assert spelt.strip() == piece.piece.replace("▁", " ").strip()


def test_saved_and_loaded_it_is_the_same(extended: Pair, tmp_path: Path, sentences):
    found = extended[1]
    found.files.save(tmp_path / "one")
    again = read_tokenizer(tmp_path / "one")
    again.save(tmp_path / "two")
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "two").iterdir())
    assert all(
        (tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names
    )
    auto = AutoTokenizer.from_pretrained(tmp_path / "one")
    for text in [*sentences["zh"][:50], *sentences["en"][:50], " a  b\n"]:
        assert auto(text, add_special_tokens=False)["input_ids"] == ids(found.files, text)


def test_sentencepiece_and_tokenizer_json_agree(tiny_llama: Path, documents, sentences, tmp_path):
    _, found = learnt_on(tiny_llama, documents, 96)
    found.files.save(tmp_path)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    scores = [p.score for p in found.files.proto.pieces][found.base_tokens :]
    assert all(a > b for a, b in itertools.pairwise(scores))
    lines = [*sentences["zh"], *sentences["en"], "  小明  Tom\n学校", "\0", "𠮷😀小明", "", " "]
    lines += [f"{a} {b}" for a, b in zip(sentences["zh"], sentences["en"], strict=False)]
    for line in lines:
        assert processor.encode(line) == ids(found.files, line)


def test_no_piece_is_an_added_token(extended: Pair):
    family, found = extended
    before, after = (f.backend.get_added_tokens_decoder() for f in (family.files, found.files))
    assert sorted(before) == sorted(after)


def test_a_half_character_is_shared_by_the_characters_that_begin_with_it(byte_level, documents):
    family, found = learnt_on(byte_level, documents, 96)
    assert isinstance(family, ByteFamily)
    halves = [p for p in found.pieces if not p.count]
    assert halves
    assert all(len(p.base_ids) == 2 for p in halves)
    cost = family.alphabet("小市a川", script_of("zh"))
    assert "小" in cost.known
    assert cost.cost["川"] in (2, 3)
    assert len(set(byte_letters())) == 256


def test_a_piece_whose_parts_are_missing_gives_its_place_to_the_next(byte_level: Path):
    family = family_of(read_tokenizer(byte_level))
    pieces = [
        Learnt("学校，明天", 9, ("学校，", "明天")),
        Learnt("师", 5),
        Learnt("师小", 4, ("师", "小")),
    ]
    cost = family.alphabet("师", script_of("zh")).cost["师"]
    files, taken = family.extend(pieces, cost)
    assert [piece.piece for piece in taken] == ["师", "师小"]
    assert len(files.fast()) == len(family.files.fast()) + cost
    assert len(ids(files, "师小")) == 1


def test_too_little_text_is_said_with_what_would_do(tiny_llama: Path):
    documents = [Document("x", "小明小明小明", "zh", "a", "cc0")]
    with pytest.raises(InputError, match="doesn't hold so many") as caught:
        learnt_on(tiny_llama, documents, 500)
    assert "of 500" in str(caught.value.found)
    assert "vocab.add" in str(caught.value.fix)


def test_a_kind_that_takes_no_pieces_is_refused(tmp_path: Path):
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match="yet") as caught:
        family_of(read_tokenizer(tmp_path), tmp_path)
    assert "WordLevel" in str(caught.value.found)


SCRIPT = """
import sys, json
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from vocab.conftest import learnt_on
from hanhua.text.document import Document
docs = [Document(*row) for row in json.loads(Path(sys.argv[2]).read_text())]
_, found = learnt_on(Path(sys.argv[1]), docs, 64)
found.files.save(Path(sys.argv[4]))
"""


def test_the_bytes_do_not_depend_on_the_hash_seed(tiny_llama, documents, tmp_path):
    import json
    from dataclasses import astuple

    (tmp_path / "docs.json").write_text(json.dumps([astuple(d) for d in documents]))
    root = Path(__file__).resolve().parents[1]
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tiny_llama), str(tmp_path / "docs.json"), str(root),
             str(tmp_path / seed)],
            check=True, env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
    for name in ("tokenizer.json", "tokenizer.model"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


@pytest.mark.parametrize("kind", ["tiny_llama", "byte_level"])
def test_guarded_characters_are_all_there(kind, request, documents):
    family, script = family_of(read_tokenizer(request.getfixturevalue(kind))), script_of("zh")
    lacking = family.alphabet(guarded("common"), script).cost
    assert len(lacking) > 3000
    for guard, add in (("none", 200), ("common", len(lacking) + 300)):
        config = VocabConfig(add=add, guard=guard, traditional_share=0.1, min_count=1)
        runs = gather(family, script, config, lambda: iter(documents))
        found = extend(family, script, config, runs)
        model = found.files.backend.model
        whole = [c for c in guarded("common") if len(model.tokenize(family.written(c))) == 1]
        assert len(found.pieces) == add
        assert (len(whole) == 3755) == (guard == "common")
        assert any(len(piece.piece) > 1 and piece.count for piece in found.pieces)
