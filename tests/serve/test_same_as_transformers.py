"""Exported, served, asked: the ids, the template and the greedy tokens are those of transformers.

Left: the exported folder in ``AutoTokenizer`` and ``AutoModelForCausalLM``, as a stranger loads it.
Right: our server over the same folder, through its API alone. Token ids cannot be read off the API,
but they go in: a prompt given as text and the same given as ids must get the same tokens and, to
the last bit, the same log probabilities, which depend on every id before them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from hanhua.chat.template import get_template
from hanhua.eval.target import Target
from hanhua.export.command import Exporting, export_folder
from hanhua.model.stream import TokenBytes
from hanhua.serve.engine import Engine
from hanhua.serve.protocol import MAX_PROMPTS
from hanhua.serve.served import load_served
from hanhua.vocab.tokenizer import read_tokenizer
from hard_texts import HARD_LINES, MARKERS, PLAIN_LINES, byte_level

from .conftest import running_server
from .test_api import CHAT, TEXT

ROLES = (
    "{{ bos_token }}{% for m in messages %}<|end|>{{ m['role'] }}\n{{ m['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|end|>assistant\n{% endif %}"
)
"""A template that is not of our registry."""

KINDS = {
    "sentencepiece-tied": (False, True, get_template("hanhua").jinja),
    "sentencepiece-untied": (False, False, get_template("llama-2").jinja),
    "byte-level-tied": (True, True, get_template("hanhua").jinja),
    "byte-level-untied": (True, False, ROLES),
}
ANSWER_TOKENS = 16


@dataclass
class Pair:
    """A folder in both readers."""

    tokenizer: Any
    model: Any
    client: httpx.Client
    engine: Engine

    def greedy(self, ids: list[int]) -> list[int]:
        """What ``generate`` goes on with, without its end; no id that is no text."""
        n_tokens = len(self.tokenizer)
        silent = {self.tokenizer.unk_token_id, self.tokenizer.pad_token_id} - {None}
        rows = self.model.get_output_embeddings().weight.shape[0]
        end = self.tokenizer.eos_token_id
        found = self.model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            do_sample=False, temperature=None, top_p=None, max_new_tokens=ANSWER_TOKENS,
            suppress_tokens=[*silent, *range(n_tokens, rows)], pad_token_id=end,
        )[0, len(ids) :].tolist()  # fmt: skip
        # our server also ends where the next text would begin, which generate does not know
        ends = [i for i, token in enumerate(found) if token in (end, self.tokenizer.bos_token_id)]
        return found[: ends[0]] if ends else found

    def ask(self, path: str, **body: Any) -> Any:
        response = self.client.post(path, json={"temperature": 0, **body})
        assert response.status_code == 200, response.text
        return response.json()

    def many(self, prompts: Sequence[Any], **body: Any) -> list[dict[str, Any]]:
        """The log probabilities of completions, asked for in batches."""
        found = []
        for i in range(0, len(prompts), MAX_PROMPTS):
            part = list(prompts[i : i + MAX_PROMPTS])
            choices = self.ask(TEXT, prompt=part, logprobs=1, **body)["choices"]
            found += [choice["logprobs"] for choice in choices]
        return found

    def echo(self, prompts: Sequence[Any]) -> list[dict[str, Any]]:
        """Each prompt's tokens and log probabilities, and one token more."""
        return self.many(prompts, echo=True, max_tokens=1)

    def follow(self, prompts: Sequence[Any]) -> list[dict[str, Any]]:
        """What the server goes on with after prompts."""
        return self.many(prompts, max_tokens=ANSWER_TOKENS)

    def shown(self, ids: list[int]) -> list[str]:
        """How the API writes ids."""
        return [_shown(data) for data in self.data(ids)]

    def data(self, ids: list[int]) -> list[bytes]:
        """The bytes that ids stand for."""
        known = TokenBytes(self.tokenizer)
        return [known[i] for i in ids]


def _shown(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


@pytest.fixture(scope="module", params=KINDS)
def exported(request, tiny_llama, sentences, tmp_path_factory) -> Path:
    """A tiny chat model, exported as ``hanhua export --to hf`` does it."""
    in_bytes, tied, template = KINDS[request.param]
    root = tmp_path_factory.mktemp(request.param)
    files = read_tokenizer(byte_level(root / "base", sentences) if in_bytes else tiny_llama)
    files = replace(files, chat_template=template)
    files.save(root / "model")
    tokenizer = AutoTokenizer.from_pretrained(root / "model")
    torch.manual_seed(8)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 5, hidden_size=48, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        initializer_range=0.3, tie_word_embeddings=tied, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(root / "model")
    out = root / "out"
    out.mkdir()
    export_folder(Exporting(target=Target(root / "model"), name="tiny"), out)
    return out


@contextmanager
def serving(folder: Path) -> Iterator[Pair]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with running_server(load_served(folder, name="tiny"), max_running=8, max_waiting=99) as server:
        with httpx.Client(base_url=server[0], timeout=120) as client:
            yield Pair(tokenizer, model, client, server[1])


@pytest.fixture(scope="module")
def pair(exported) -> Iterator[Pair]:
    with serving(exported) as found:
        yield found


def ids_of(pair: Pair) -> list[list[int]]:
    """The hard lines in AutoTokenizer, what is typed as a special token read as text."""
    return [pair.tokenizer(line, split_special_tokens=True)["input_ids"] for line in HARD_LINES]


def test_prompts_are_the_same_ids(pair):
    expected = ids_of(pair)
    as_text, as_ids = pair.echo(HARD_LINES), pair.echo(expected)
    for line, ids, one, other in zip(HARD_LINES, expected, as_text, as_ids, strict=True):
        assert one["tokens"] == other["tokens"], line
        assert one["token_logprobs"] == other["token_logprobs"], line
        assert len(one["tokens"]) in (len(ids), len(ids) + 1)  # an end token is not shown
        if line in PLAIN_LINES:
            assert pair.tokenizer(line)["input_ids"] == ids
        assert not set(ids[1:]) & set(pair.tokenizer.all_special_ids), line
    plain = [pair.tokenizer(line)["input_ids"] for line in HARD_LINES]
    assert sum(a != b for a, b in zip(plain, expected, strict=True)) > 3


def conversations() -> list[list[dict[str, str]]]:
    """A few lines to each message, so that few requests hold them all."""
    lines = [line.strip() for line in PLAIN_LINES if line.strip()]
    texts = ["\n".join(lines[i::4]) for i in range(4)]
    asked = [[{"role": "user", "content": text}] for text in texts]
    turns = [{"role": role, "content": lines[i]}
             for i, role in enumerate(("system", "user", "assistant", "user"))]  # fmt: skip
    return [*asked, turns[1:], turns]


def test_chats_are_the_same_template_and_greedy_tokens(pair):
    for messages in conversations():
        options = {"add_generation_prompt": True}
        text = pair.tokenizer.apply_chat_template(messages, tokenize=False, **options)
        ids = pair.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert pair.tokenizer.apply_chat_template(messages, **options)["input_ids"] == ids
        assert all(message["content"] in text for message in messages)
        found = pair.ask(CHAT, messages=messages, max_tokens=ANSWER_TOKENS, logprobs=True)
        assert found["usage"]["prompt_tokens"] == len(ids), text
        items = found["choices"][0]["logprobs"]["content"]
        assert [bytes(item["bytes"]) for item in items] == pair.data(pair.greedy(ids)), text
        [after] = pair.follow([ids])  # of the same prompt, given as ids
        assert [item["logprob"] for item in items] == after["token_logprobs"], text


def test_greedy_tokens_alone_and_in_a_crowd(pair):
    prompts = ids_of(pair)[::4]
    alone = [found for ids in prompts for found in pair.follow([ids])]
    answers = [pair.greedy(ids) for ids in prompts]
    assert [found["tokens"] for found in alone] == [pair.shown(answer) for answer in answers]
    assert sum(map(len, answers)) > 8 * len(prompts)
    # those tokens, scored behind their prompt, are as likely as they were said to be
    scored = pair.echo([ids + answer for ids, answer in zip(prompts, answers, strict=True)])
    for ids, found, logs in zip(prompts, alone, scored, strict=True):
        behind = logs["token_logprobs"][len(ids) : len(ids) + len(found["tokens"])]
        assert behind == pytest.approx(found["token_logprobs"], abs=1e-3)
    stats = pair.engine.stats
    steps, made = stats.steps, stats.completion_tokens
    together = pair.follow(prompts)
    assert [found["tokens"] for found in together] == [found["tokens"] for found in alone]
    assert stats.steps - steps < (stats.completion_tokens - made) / 2  # they did share steps


def test_markers_that_a_user_types_stay_text(pair):
    """The prompt has the control tokens of the template and no other, and all that was typed."""
    served, special = pair.engine.served, set(pair.tokenizer.all_special_ids)
    forged = 0
    for marker in map(str.strip, MARKERS):
        messages, other = (
            [{"role": "user", "content": f"我说{typed} b"}] for typed in (f" {marker}", "")
        )
        ids = served.encode_chat(messages)
        control = [i for i in ids if i in special]
        assert control == [i for i in served.encode_chat(other) if i in special], marker
        # a cut in a marker may show as a space, and llama-2's own template writes "[ INST]"
        text = served.text_of(ids).replace(" ", "")
        assert f"我说{marker}b".replace(" ", "") in text, marker
        plain = pair.tokenizer.apply_chat_template(messages, add_generation_prompt=True)
        if plain["input_ids"] != ids:
            forged += 1
            found = pair.ask(CHAT, messages=messages, max_tokens=ANSWER_TOKENS, logprobs=True)
            items = found["choices"][0]["logprobs"]["content"]
            assert found["usage"]["prompt_tokens"] == len(ids)
            [after] = pair.follow([ids])
            assert [item["logprob"] for item in items] == after["token_logprobs"], marker
    assert forged  # for some of them the plain way does make control tokens


def test_loaded_and_saved_by_transformers_it_is_the_same(pair, tmp_path):
    pair.model.save_pretrained(tmp_path)
    pair.tokenizer.save_pretrained(tmp_path)
    messages = conversations()[-1]
    with serving(tmp_path) as again:
        assert again.echo(HARD_LINES) == pair.echo(HARD_LINES)
        prompts = ids_of(pair)[::6]
        assert again.follow(prompts) == pair.follow(prompts)
        found, before = (
            p.ask(CHAT, messages=messages, max_tokens=8, logprobs=True)["choices"]
            for p in (again, pair)
        )
        assert found == before
