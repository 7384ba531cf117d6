"""Fewer pieces, the same tokens: what is used, what may go, and that nothing else changes."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import shutil
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from hanhua.core.errors import InputError, ModelError
from hanhua.text.document import Document
from hanhua.vocab.convert import NORMAL, convert
from hanhua.vocab.family import byte_letters
from hanhua.vocab.prune import Keep, Pruned, prune_tokenizer
from hanhua.vocab.prune_kinds import kind_of
from hanhua.vocab.prune_report import compare, dropped_pieces, script_of_piece
from hanhua.vocab.prune_trace import apply_merges, used_pieces
from hanhua.vocab.tokenizer import TokenizerFiles, read_tokenizer

from .conftest import learnt_on

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LETTERS = st.text("tomhe ▁\nwas小", max_size=24)
SPECIAL = ("<s>", "</s>", "<unk>", "<|end|>")


def as_documents(*texts: str) -> list[Document]:
    return [Document(str(i), text, "en", "kept", "cc0") for i, text in enumerate(texts)]


def encode(files: TokenizerFiles, text: str) -> list[int]:
    return files.backend.encode(text, add_special_tokens=False).ids


def renumbered(pruned: Pruned, ids: list[int]) -> list[int | None]:
    return [pruned.ids[i] for i in ids]


@pytest.fixture(scope="module")
def spm(tmp_path_factory: pytest.TempPathFactory, sentences: dict[str, list[str]]) -> Path:
    """A SentencePiece base with whole English words and some Chinese."""
    folder = tmp_path_factory.mktemp("spm")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences["en"] * 2 + sentences["zh"]), model_type="bpe",
        model_prefix=str(folder / "tokenizer"), vocab_size=560, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
        character_coverage=1.0, hard_vocab_limit=False, minloglevel=2, num_threads=1,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module", params=["sentencepiece", "byte_level", "merges_only"])
def files(request: pytest.FixtureRequest, spm: Path, byte_level: Path) -> TokenizerFiles:
    """Both kinds; byte-level with whole words taken unmerged (Llama 3) and without (GPT-2)."""
    if request.param == "sentencepiece":
        return read_tokenizer(spm)
    found = read_tokenizer(byte_level)
    if request.param == "byte_level":
        return found
    raw = json.loads(found.backend.to_str())
    raw["model"]["ignore_merges"] = False
    return TokenizerFiles(Tokenizer.from_str(json.dumps(raw)), None, found.settings)


@pytest.fixture(scope="module")
def kept_text(sentences: dict[str, list[str]]) -> list[Document]:
    """A small part of what the tokenizers have seen, so that much of them is unused."""
    english = [text for text in sentences["en"] if "fish" in text][:8]
    return as_documents(
        *english, "Tom\n  bought  a fish,\n\nand 小明 was good.", "fish <|end|> Tom"
    )


@pytest.fixture(scope="module")
def pruned(files: TokenizerFiles, kept_text: list[Document]) -> Pruned:
    return prune_tokenizer(files, kept_text)


def test_kept_text_has_the_same_tokens_and_fewer_pieces_exist(files, kept_text, pruned):
    found = compare(files, pruned.files, pruned.ids, kept_text)
    assert found.changed == 0
    assert found.total.lines > len(kept_text)
    assert len(pruned.kept) < files.backend.get_vocab_size() - 20
    after = pruned.files.backend
    assert [files.backend.id_to_token(old) for old in pruned.kept] == [
        after.id_to_token(new) for new in range(after.get_vocab_size())
    ]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(ANY | LETTERS, min_size=1, max_size=4))
def test_any_kept_text_keeps_its_tokens_in_both_programs(files, texts: list[str]):
    """Documents and each of their lines; the bound holds for whatever text is kept."""
    documents = as_documents("a", *texts)
    pruned = prune_tokenizer(files, documents)
    found = compare(files, pruned.files, pruned.ids, documents)
    assert found.changed == 0, found.examples
    assert found.spm_differs["before"] == found.spm_differs["after"]
    assert len(pruned.kept) < files.backend.get_vocab_size()


@given(text=ANY)
def test_every_text_still_encodes_and_decodes_to_itself(pruned, text: str):
    tokenizer = pruned.files.fast()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not any(special in text for special in SPECIAL) and "▁" not in text:
        assert tokenizer.decode(ids) == text
    assert all(i < pruned.files.backend.get_vocab_size() for i in ids)


def test_every_byte_and_every_named_token_is_still_there(files, pruned):
    backend = pruned.files.backend
    if files.proto is not None:
        wanted = [f"<0x{byte:02X}>" for byte in range(256)]
        wanted += [p.piece for p in files.proto.pieces if len(p.piece) == 1]
    else:
        wanted = byte_letters()
    assert all(backend.token_to_id(piece) is not None for piece in wanted)
    for name in ("bos_token", "eos_token", "unk_token"):
        old = getattr(files.fast(), f"{name}_id")
        if old is not None:
            assert getattr(pruned.files.fast(), f"{name}_id") == pruned.ids[old]


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(LETTERS, min_size=2, max_size=8), min_count=st.integers(2, 5))
def test_rare_pieces_may_go_and_what_stays_can_be_reached(files, texts, min_count: int):
    documents = as_documents("the fish", *texts)
    all_used = prune_tokenizer(files, documents)
    fewer = prune_tokenizer(files, documents, min_count=min_count)
    assert set(fewer.kept) <= set(all_used.kept)
    old, new = files.backend, fewer.files.backend
    for index in fewer.kept:
        piece = old.id_to_token(index)
        if [t.id for t in old.model.tokenize(piece)] == [index] and fewer.counts[index]:
            assert [t.id for t in new.model.tokenize(piece)] == [fewer.ids[index]], piece
    found = compare(files, fewer.files, fewer.ids, documents)
    assert found.total.after >= found.total.before


def test_rare_pieces_change_lines_and_these_are_counted(files, kept_text):
    pruned = prune_tokenizer(files, kept_text, min_count=4)
    found = compare(files, pruned.files, pruned.ids, kept_text)
    assert 0 < found.total.changed_lines < found.total.lines
    assert found.total.after > found.total.before
    assert found.examples


def byte_files(vocab: list[str], merges: list[tuple[str, str]], **options) -> TokenizerFiles:
    """A byte-level tokenizer with exactly these merges."""
    names = list(dict.fromkeys([*byte_letters(), *vocab]))
    ids = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(ids, merges, **options))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return TokenizerFiles(tokenizer)


def names(pruned: Pruned) -> set[str]:
    return set(pruned.files.backend.get_vocab()) - set(byte_letters())


def test_a_piece_that_is_only_on_the_way_stays():
    files = byte_files(["th", "the", "he", "in"], [("t", "h"), ("h", "e"), ("th", "e"), ("i", "n")])
    assert names(prune_tokenizer(files, as_documents("the"))) == {"th", "the"}


def test_a_piece_that_was_made_and_taken_up_on_the_way_stays():
    """ "ab" is in no token of "abc": were it gone, "bc" would join first and "a", "bc" remain."""
    files = byte_files(["ab", "bc", "abc"], [("a", "b"), ("b", "c"), ("ab", "c")])
    pruned = prune_tokenizer(files, as_documents("abc"))
    assert names(pruned) == {"ab", "abc"}
    without = byte_files(["bc", "abc"], [("b", "c")])
    assert len(encode(without, "abc")) == 2 != len(encode(pruned.files, "abc"))


def test_words_taken_whole_stay_without_their_merges():
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o")]
    vocab = ["he", "ll", "hell", "hello"]
    whole = prune_tokenizer(byte_files(vocab, merges, ignore_merges=True), as_documents("hello"))
    assert names(whole) == {"hello"}
    assert json.loads(whole.files.backend.to_str())["model"]["ignore_merges"] is True
    merged = prune_tokenizer(byte_files(vocab, merges), as_documents("hello"))
    assert names(merged) == set(vocab)


@settings(max_examples=150, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=16),
    text=st.text("abc", min_size=1, max_size=30),
    other=st.text("abc", min_size=1, max_size=30),
)
def test_merges_in_any_order_are_replayed_exactly(pairs, text: str, other: str):
    """Lists that no training would make: a product may rank before its parts' own merges."""
    vocab, merges = ["a", "b", "c"], []
    for left, right in pairs:
        parts = (vocab[left % len(vocab)], vocab[right % len(vocab)])
        if parts not in merges:
            merges.append(parts)
            vocab.append("".join(parts))
    random.Random(len(text)).shuffle(merges)
    files = byte_files(vocab, merges)
    pruned = prune_tokenizer(files, as_documents(text))  # raises where the replay is wrong
    assert renumbered(pruned, encode(files, text)) == encode(pruned.files, text)
    assert pruned.files.backend.decode(encode(pruned.files, other)) == other


def scored(tiny_llama: Path, pieces: dict[str, float]) -> TokenizerFiles:
    """The tiny LLaMA's tokenizer with other pieces behind its bytes."""
    files = read_tokenizer(tiny_llama)
    assert files.proto is not None
    proto = type(files.proto)()
    proto.CopyFrom(files.proto)
    rest = [p for p in proto.pieces if p.type != NORMAL]
    del proto.pieces[:]
    proto.pieces.extend(rest)
    for text, score in pieces.items():
        proto.pieces.add(piece=text, score=score, type=NORMAL)
    return TokenizerFiles(convert(proto, add_bos=False), proto, files.settings)


@settings(max_examples=80, deadline=None)
@given(
    words=st.lists(st.text("ab", min_size=2, max_size=5), unique=True, max_size=14),
    ties=st.integers(1, 4),
    text=st.text("ab ", min_size=1, max_size=24),
)
def test_ties_are_kept_as_both_programs_break_them(tiny_llama, words, ties: int, text: str):
    """Equal scores: SentencePiece takes the leftmost, tokenizers the lower ids."""
    pieces = {"▁": -99.0, "a": -98.0, "b": -97.0}
    pieces |= {word: -float(i // ties) for i, word in enumerate(words)}
    files = scored(tiny_llama, pieces)
    documents = as_documents("a" + text)
    pruned = prune_tokenizer(files, documents)
    assert compare(files, pruned.files, pruned.ids, documents).changed == 0


def test_pieces_that_hold_a_space_inside_are_not_cut_apart(tiny_llama: Path):
    pieces = {"▁": -9.0, "a": -8.0, "b": -7.0, "a▁": -1.0, "a▁b": -2.0, "▁a": -3.0}
    pruned = prune_tokenizer(scored(tiny_llama, pieces), as_documents("a b"))
    assert pruned.files.backend.encode("a b").tokens == ["▁", "a▁b"]
    assert pruned.files.backend.token_to_id("▁a") is None


def test_the_unused_characters_go_when_asked_and_are_spelt_in_bytes(spm, sentences):
    files, documents = read_tokenizer(spm), as_documents("the fish")
    pruned = prune_tokenizer(files, documents, Keep(characters=False))
    kept = {p.piece for p in pruned.files.proto.pieces if p.type == NORMAL and len(p.piece) == 1}
    assert kept == set("▁thefis")
    text = sentences["en"][0]
    assert pruned.files.fast().decode(encode(pruned.files, text)) == text
    assert compare(files, pruned.files, pruned.ids, documents).changed == 0


def test_what_is_asked_for_stays_and_can_be_reached(files):
    documents = as_documents("小")
    piece = "▁market" if files.proto is not None else "Ġmarket"
    bare = prune_tokenizer(files, documents)
    assert bare.files.backend.token_to_id(piece) is None
    named = prune_tokenizer(files, documents, Keep(pieces=(piece,)))
    assert [t.value for t in named.files.backend.model.tokenize(piece)] == [piece]
    latin = prune_tokenizer(files, documents, Keep(scripts=("latin",)))
    assert len(bare.kept) < len(named.kept) < len(latin.kept)
    gone = dropped_pieces(dict(enumerate(files.backend.id_to_token(i) for i in range(
        files.backend.get_vocab_size()))), set(range(len(latin.ids))) - set(latin.kept),
        files.proto is None)  # fmt: skip
    assert "latin" not in gone
    with pytest.raises(InputError, match="not in the vocabulary") as caught:
        prune_tokenizer(files, documents, Keep(pieces=("▁nowhere",)))
    assert "▁nowhere" in str(caught.value.found)
    with pytest.raises(InputError, match="No script") as caught:
        prune_tokenizer(files, documents, Keep(scripts=("klingon",)))
    assert "latin" in str(caught.value.fix)


def test_a_chat_template_keeps_its_tokens_and_comes_along(files):
    template = "{{ 'the teacher' }}"
    files = TokenizerFiles(files.backend, files.proto, files.settings, template)
    pruned = prune_tokenizer(files, as_documents("a"))
    assert pruned.files.chat_template == template
    assert renumbered(pruned, encode(files, template)) == encode(pruned.files, template)


def test_ids_inside_a_tokenizer_json_are_renumbered(byte_level: Path, tmp_path: Path):
    files = read_tokenizer(byte_level)
    end = files.backend.token_to_id("<|end|>")
    files.backend.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|end|> $A", special_tokens=[("<|end|>", end)]),
    ])  # fmt: skip
    pruned = prune_tokenizer(files, as_documents("Tom"))
    new = pruned.ids[end]
    assert new is not None
    assert new < end
    ids = pruned.files.backend.encode("Tom<|end|>").ids
    assert ids[0] == ids[-1] == new
    pruned.files.save(tmp_path)
    assert read_tokenizer(tmp_path).backend.encode("Tom<|end|>").ids == ids
    files.backend.post_processor = processors.BertProcessing(("<|end|>", end), ("<|end|>", end))
    pruned = prune_tokenizer(files, as_documents("Tom"))
    assert pruned.files.backend.encode("a").ids[0] == pruned.ids[end]


def test_tokens_behind_the_vocabulary_come_along(spm: Path, tmp_path: Path):
    shutil.copy(spm / "tokenizer.model", tmp_path)
    size = read_tokenizer(spm).backend.get_vocab_size()
    entries = {str(size): {"content": "<|chat|>", "special": True},
               str(size + 1): {"content": "[fish market]", "special": False}}  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": entries}))
    files = read_tokenizer(tmp_path)
    documents = as_documents("Tom <|chat|>[fish market] in the market[fish market]\n<s>")
    pruned = prune_tokenizer(files, documents)
    assert compare(files, pruned.files, pruned.ids, documents).changed == 0
    assert pruned.kept[-2:] == [size, size + 1]
    assert pruned.kept != list(range(len(pruned.kept)))
    assert encode(pruned.files, "<|chat|>") == [pruned.ids[size]]


def test_a_pruned_tokenizer_is_a_base_like_any_other(files, pruned, kept_text, tmp_path: Path):
    pruned.files.save(tmp_path)
    again = prune_tokenizer(read_tokenizer(tmp_path), kept_text)
    assert again.ids == list(range(len(pruned.kept)))
    pruned.files.save(tmp_path / "twice")
    read_tokenizer(tmp_path / "twice").save(tmp_path / "thrice")
    for path in (tmp_path / "twice").iterdir():
        assert path.read_bytes() == (tmp_path / "thrice" / path.name).read_bytes()


def test_a_pruned_tokenizer_can_be_extended(files, pruned, documents, tmp_path: Path):
    pruned.files.save(tmp_path)
    _, extended = learnt_on(tmp_path, documents, 32)
    assert extended.base_tokens == len(pruned.kept)
    backend = extended.files.backend
    assert backend.get_vocab_size() == len(pruned.kept) + 32
    for piece in extended.pieces:
        assert backend.id_to_token(piece.id) is not None
    assert encode(extended.files, "Tom likes fish") == encode(pruned.files, "Tom likes fish")


def test_long_units_without_a_cut_are_no_burden(files):
    text = "the" * 20_000 + " " * 20_000 + "小" * 20_000
    documents = as_documents(text)
    pruned = prune_tokenizer(files, documents)
    assert compare(files, pruned.files, pruned.ids, documents).changed == 0


def test_no_text_is_refused(files):
    with pytest.raises(InputError, match="no text") as caught:
        prune_tokenizer(files, as_documents("", " \n "))
    assert caught.value.fix


def test_settings_that_cannot_be_followed_are_refused():
    files = byte_files(["ab"], [("a", "b")], dropout=0.1)
    with pytest.raises(ModelError, match="can't be followed") as caught:
        prune_tokenizer(files, as_documents("ab"))
    assert "dropout" in str(caught.value.found)


def test_a_replay_that_is_wrong_is_found(byte_level: Path):
    kind = kind_of(read_tokenizer(byte_level))
    kind.tables[0].clear()
    with pytest.raises(ModelError, match="disagree"):
        used_pieces(kind, as_documents("themarket"))


def test_merges_go_best_first_and_leftmost():
    table = {1 * 6 + 1: (0, 2), 2 * 6 + 1: (1 << 32, 3)}  # aa -> 2, aa a -> 3; size 5
    assert apply_merges([1, 1, 1, 1, 1], table, 5) == ([2, -1, 3, -1, -1], [2, 2, 3])


@pytest.mark.parametrize(
    ("piece", "script"),
    [("▁the", "latin"), ("▁мир", "cyrillic"), ("小明", "han"), ("한", "hangul"), ("カ", "kana"),
     ("سلام", "arabic"), ("αβ", "other"), ("A股", "mixed"), ("▁12.", "marks"), ("<0xE4>", "bytes")],
)  # fmt: skip
def test_pieces_are_told_apart_by_script(piece: str, script: str):
    assert script_of_piece(piece, byte_level=False) == script
    if script == "han":
        assert script_of_piece("å°ıæĺİ", byte_level=True) == script
        assert script_of_piece("å°", byte_level=True) == "bytes"


def read_some(folder: Path, chars: int) -> list[Document]:
    found = []
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            row = json.loads(next(itertools.islice(file, 3, None)))
        found.append(Document(row["id"], row["text"][:chars].replace("<unk>", "?"), "zh",
                              path.name, ""))  # fmt: skip
    return found


def test_llama_2_loses_a_third_and_no_line_changes(shared_data: Path, tmp_path: Path):
    files = read_tokenizer(shared_data / "tokenizers" / "llama2")
    documents = read_some(shared_data / "corpora" / "zh", 6000)
    documents += read_some(shared_data / "corpora" / "en", 9000)
    pruned = prune_tokenizer(files, documents)
    found = compare(files, pruned.files, pruned.ids, documents)
    assert found.changed == 0
    assert found.spm_lines == found.total.lines > 1000
    assert found.spm_differs == {"before": 0, "after": 0}
    assert 5_000 < len(pruned.kept) < 20_000
    tokens = {i: files.backend.id_to_token(i) for i in range(32_000)}
    gone = dropped_pieces(tokens, set(tokens) - set(pruned.kept), byte_level=False)
    assert gone["cyrillic"]["dropped"] > 2000
    assert gone["latin"]["dropped"] > 5000
    russian = as_documents("Все люди рождаются свободными и равными.")
    lost = compare(files, pruned.files, pruned.ids, russian).total
    assert lost.after > 2 * lost.before
    pruned.files.save(tmp_path)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    fast = read_tokenizer(tmp_path).fast()
    text = documents[0].text[:2000]
    assert fast(text, add_special_tokens=False)["input_ids"] == processor.encode(text)
    assert fast.decode(processor.encode(text)) == text
