from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from hanhua.core.errors import InputError, ModelError
from hanhua.model.generate import Sampling, TextStream, TokenBytes, decode, generate, stop_ids
from hanhua.model.load import load_model, load_tokenizer

PADDING = 6


@pytest.fixture(scope="module")
def tokenizer(tiny_llama: Path) -> Any:
    return load_tokenizer(tiny_llama)


@pytest.fixture(scope="module")
def byte_level(sentences: dict[str, list[str]]) -> Any:
    """A tokenizer of GPT-2's kind."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    core.train_from_iterator(sentences["en"] + sentences["zh"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>")


@pytest.fixture(scope="module")
def model(tiny_llama: Path, tokenizer: Any) -> Any:
    """Opinionated weights, and padding rows that would win every draw."""
    torch.set_num_threads(1)
    found = load_model(tiny_llama)
    found.resize_token_embeddings(len(tokenizer) + PADDING, mean_resizing=False)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in found.parameters():
            if weight.ndim == 2:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.15)
        rows = found.get_output_embeddings().weight
        rows[-PADDING:] = rows[: len(tokenizer)].abs().max() * 50
        rows[-1] *= -1
    return found


PROMPTS = ["Tom", "The river and the hill", "早上好", "Every morning he goes to the market"]


def prompts(tokenizer: Any) -> list[list[int]]:
    return [[1, *tokenizer.encode(p, add_special_tokens=False)] for p in PROMPTS]


def test_padding_rows_are_never_produced(model: Any, tokenizer: Any) -> None:
    with torch.inference_mode():
        likeliest = model(torch.tensor([[1, 5]])).logits.argmax(-1)
    assert int(likeliest.max()) >= len(tokenizer)  # they would win
    for temperature in (0.0, 1.0, 2.0):
        sampling = Sampling(max_new_tokens=30, temperature=temperature)
        for made in generate(model, tokenizer, prompts(tokenizer), sampling):
            assert max(made.ids) < len(tokenizer)
            assert tokenizer.unk_token_id not in made.ids


@pytest.mark.parametrize("sampling", [
    Sampling(max_new_tokens=25),
    Sampling(max_new_tokens=25, temperature=1.0, top_p=0.8, seed=4),
])  # fmt: skip
def test_a_batch_gives_what_each_prompt_alone_gives(
    model: Any, tokenizer: Any, sampling: Sampling
) -> None:
    many = generate(model, tokenizer, prompts(tokenizer) * 2, sampling)
    alone = generate(model, tokenizer, prompts(tokenizer) * 2, sampling, batch_rows=1)
    assert many == alone
    assert len({len(p) for p in prompts(tokenizer)}) > 2  # they were padded
    if sampling.temperature:
        assert many[0] != many[len(PROMPTS)]  # each row has its own numbers


def test_greedy_follows_the_likeliest_token(model: Any, tokenizer: Any) -> None:
    prompt = prompts(tokenizer)[1]
    made = generate(model, tokenizer, [prompt], Sampling(max_new_tokens=20))[0]
    ids = list(prompt)
    for token in made.ids:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1, : len(tokenizer)].clone()
        logits[tokenizer.unk_token_id] = -torch.inf
        assert token == int(logits.argmax())
        ids.append(token)


def test_seeds_decide(model: Any, tokenizer: Any) -> None:
    def run(seed: int) -> list[tuple[int, ...]]:
        sampling = Sampling(max_new_tokens=12, temperature=1.0, seed=seed)
        return [m.ids for m in generate(model, tokenizer, prompts(tokenizer), sampling)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_tiny_top_p_is_greedy(model: Any, tokenizer: Any) -> None:
    nucleus = Sampling(max_new_tokens=15, temperature=1.0, top_p=1e-9, seed=3)
    greedy = Sampling(max_new_tokens=15)
    assert [m.ids for m in generate(model, tokenizer, prompts(tokenizer), nucleus)] == [
        m.ids for m in generate(model, tokenizer, prompts(tokenizer), greedy)
    ]


def test_samples_follow_the_distribution(model: Any, tokenizer: Any) -> None:
    n = 3000
    sampling = Sampling(max_new_tokens=1, temperature=1.0, seed=8)
    made = generate(model, tokenizer, [[1, 40]] * n, sampling, batch_rows=500)
    with torch.no_grad():
        logits = model(torch.tensor([[1, 40]])).logits[0, -1, : len(tokenizer)].clone()
    logits[tokenizer.unk_token_id] = -torch.inf
    shares = logits.softmax(-1)
    counts = torch.bincount(torch.tensor([m.ids[0] for m in made]), minlength=len(tokenizer))
    for token in shares.topk(8).indices.tolist():
        share = float(shares[token])
        assert abs(int(counts[token]) / n - share) < 4 * (share * (1 - share) / n) ** 0.5


def test_end_tokens_and_stop_strings_end_a_text(model: Any, tokenizer: Any) -> None:
    assert {1, 2} <= stop_ids(model, tokenizer)
    free = generate(model, tokenizer, prompts(tokenizer), Sampling(max_new_tokens=30))
    text = next(m.text for m in free if len(m.text) > 6)
    stop = text[3:5]
    cut = generate(model, tokenizer, prompts(tokenizer), Sampling(max_new_tokens=30, stop=(stop,)))
    stopped = [m for m in cut if m.finish == "stop"]
    assert stopped
    for whole, part in zip(free, cut, strict=True):
        assert stop not in part.text
        assert part.text == whole.text.split(stop)[0]
    tokens = {m.ids[-1] for m in free if m.finish == "stop"}
    assert tokens <= stop_ids(model, tokenizer)


def test_the_context_is_the_limit(model: Any, tokenizer: Any) -> None:
    context = model.config.max_position_embeddings
    made = generate(model, tokenizer, [[1] * (context - 3)], Sampling(max_new_tokens=50))[0]
    assert len(made.ids) <= 3
    for prompt in ([], [1] * context):
        with pytest.raises(InputError, match="empty or fills"):
            generate(model, tokenizer, [prompt])


def test_bytes_are_those_of_the_tokenizers_own_decoder(
    tokenizer: Any, byte_level: Any, sentences: dict[str, list[str]]
) -> None:
    for one in (tokenizer, byte_level):
        pieces = TokenBytes(one)
        for text in [*sentences["en"][:40], *sentences["zh"][:40], "  a\tb\n🙂 ", "é̂ 한국"]:
            ids = one.encode(text, add_special_tokens=False)
            assert decode(pieces, ids) == one.decode(ids, skip_special_tokens=True)
            assert pieces.join(ids).decode() == " " * pieces.strips_space + text


@settings(max_examples=200, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["fallback", "byte_level"]))
def test_a_stream_never_takes_back_or_breaks(
    tokenizer: Any, byte_level: Any, data: st.DataObject, kind: str
) -> None:
    """Whatever ids come: parts are valid, and put together they are the bytes, read once."""
    one = tokenizer if kind == "fallback" else byte_level
    ids = data.draw(st.lists(st.integers(0, len(one) + 3), max_size=40))
    pieces = TokenBytes(one)
    stream = TextStream(pieces, prompt=[len(one) - 1])
    parts = [stream.push(i) for i in ids]
    for part in parts:
        part.encode("utf-8")
    raw = pieces.join(ids)
    shown = "".join(parts) + stream.finish()
    whole = raw.decode("utf-8", "replace")
    assert whole.startswith(shown)
    left_out = whole[len(shown) :]  # an unfinished character at the end, at most three bytes of it
    assert left_out in ("", "\ufffd", "\ufffd" * 2, "\ufffd" * 3)
    assert one.all_special_ids  # they are among the ids, and show nothing


@settings(max_examples=200, deadline=None)
@example(text="a好b", stop=["a好b", "好"])
@given(
    text=st.text(alphabet="ab好é\n ", max_size=30),
    stop=st.lists(st.text(alphabet="ab好é\n ", min_size=1, max_size=4), max_size=3),
)
def test_a_stream_ends_before_the_first_stop_string(
    tokenizer: Any, text: str, stop: list[str]
) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    stream = TextStream(tokenizer, stop=stop)
    shown = ""
    for i in ids:
        shown += stream.push(i)
        assert not any(s in shown for s in stop)
    shown += stream.finish()
    ends = [(text.find(s) + len(s), text.find(s)) for s in stop if s in text]
    assert shown == (text[: min(ends)[1]] if ends else text)  # up to the one complete first
    assert stream.stopped == bool(ends)
    if stream.stopped:
        assert stream.push(ids[-1]) == stream.finish() == ""


def test_a_character_waits_for_its_last_byte(tokenizer: Any) -> None:
    ids = tokenizer.convert_tokens_to_ids(["<0xE4>", "<0xBD>", "<0xA0>", "<0xE4>"])
    stream = TextStream(tokenizer, prompt=[70])
    assert [stream.push(i) for i in ids] == ["", "", "你", ""]
    assert stream.finish() == ""  # not U+FFFD
    broken = TextStream(tokenizer, prompt=[70])
    assert "".join(broken.push(i) for i in [ids[0], 70]).startswith("\ufffd")


def test_the_first_space_depends_on_what_is_before(tokenizer: Any) -> None:
    ids = tokenizer.encode("Tom", add_special_tokens=False)
    assert decode(tokenizer, ids) == decode(tokenizer, ids, prompt=[1]) == "Tom"
    assert decode(tokenizer, ids, prompt=[1, 70]) == " Tom"
    stream = TextStream(tokenizer, prompt=[1, 70], trim=True)
    assert "".join(map(stream.push, ids)) == "Tom"


def test_a_tokenizer_without_bytes_is_refused() -> None:
    core = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    with pytest.raises(ModelError, match="bytes behind this tokenizer's pieces"):
        TokenBytes(PreTrainedTokenizerFast(tokenizer_object=core))
