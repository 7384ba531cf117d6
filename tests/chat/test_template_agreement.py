"""Training, evaluation, server, export and Meta's algorithm: the same ids for the same words."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chat_cases import conversations, quick, said
from hypothesis import event, given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.encode import encode_conversation, encode_prompt
from hanhua.chat.template import TEMPLATES, Template, render
from hanhua.model.load import load_tokenizer
from hanhua.tokens.conversations import fit
from hanhua.vocab.tokenizer import read_tokenizer

NEEDED = sorted({token for template in TEMPLATES.values() for token in template.needs})
TALK = Conversation(
    "a", "你是一个助手。",
    (Turn("user", "1+1=?\n\n请回答：“二”"), Turn("assistant", "(2)\n - 二。"),
     Turn("user", "):"), Turn("assistant", "“不客气” 😀\n```py\nx = {'a': 3}\n```"),
     Turn("user", "Thanks, 谢谢！"), Turn("assistant", "：好")),
)  # fmt: skip


def meta(messages: list[dict[str, str]]) -> list[str]:
    """Meta's rule (llama/generation.py, chat_completion), its begin and end tokens left out.

    The system text is put before the first question; each question and its answer are one text,
    stripped, with a space behind; each such text gets a begin and an end token of its own.
    """
    if messages[0]["role"] == "system":
        first = f"<<SYS>>\n{messages[0]['content']}\n<</SYS>>\n\n{messages[1]['content']}"
        messages = [{"role": "user", "content": first}, *messages[2:]]
    asked, answered = messages[::2], messages[1::2]
    return [
        f"[INST] {q['content'].strip()} [/INST] {a['content'].strip()} "
        for q, a in zip(asked, answered, strict=True)
    ]


def meant(text: str) -> bool:
    """Meta refuses its tags in texts, and its README asks for stripped ones."""
    tags = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")
    return text.strip() != "" and not any(tag in text for tag in tags)


@quick
@given(conversation=conversations(said.map(str.strip).filter(meant)))
def test_llama_2_is_meta_s_to_the_byte(conversation: Conversation) -> None:
    spans = render(TEMPLATES["llama-2"], conversation, "<s>", "</s>")
    expected = "".join(f"<s>{text}</s>" for text in meta(conversation.messages()))
    assert "".join(span.text for span in spans) == expected


@cache
def real(path: Path) -> Any:
    """A real tokenizer; special tokens are added where missing, as YaYi added its own."""
    if not path.exists():
        pytest.skip(f"no tokenizer {path.parent.name} among the shared data")
    tokenizer = read_tokenizer(path).fast()
    tokenizer.add_special_tokens({"additional_special_tokens": NEEDED})
    return tokenizer


def test_llama_2_is_meta_s_to_the_id(shared_data: Path) -> None:
    """With its own tokenizer, each exchange encoded apart as Meta does it."""
    sentencepiece = pytest.importorskip("sentencepiece")
    path = shared_data / "tokenizers" / "llama2" / "tokenizer.model"
    tokenizer = real(path)
    own = sentencepiece.SentencePieceProcessor(model_file=str(path))
    for system in ("", TALK.system):
        talk = replace(TALK, system=system)
        expected: list[int] = []
        for text in meta(talk.messages()):
            expected += [own.bos_id(), *own.encode(text), own.eos_id()]
        assert encode_conversation(tokenizer, TEMPLATES["llama-2"], talk)[0] == expected


def test_chinese_alpaca_2_is_its_trainer_s_to_the_id(shared_data: Path) -> None:
    """build_dataset.py encodes prompt and answer apart: a begin token, both, an end token."""
    sentencepiece = pytest.importorskip("sentencepiece")
    path = shared_data / "tokenizers" / "chinese-llama-2" / "tokenizer.model"
    tokenizer = real(path)
    own = sentencepiece.SentencePieceProcessor(model_file=str(path))
    for asked, answer in (("你好 there", "答案 is 1"), ("1+1=?", "(2)\n - 二。")):
        talk = Conversation("a", "", (Turn("user", asked), Turn("assistant", answer)))
        system = "You are a helpful assistant. 你是一个乐于助人的助手。"
        asking = f"[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{asked} [/INST]"
        learnt = [*own.encode(answer), own.eos_id()]
        expected = [own.bos_id(), *own.encode(asking), *learnt]
        ids, targets = encode_conversation(tokenizer, TEMPLATES["chinese-alpaca-2+system"], talk)
        assert ids == expected
        assert targets == [False] * (len(ids) - len(learnt)) + [True] * len(learnt)


@pytest.mark.parametrize("folder", ["llama2", "chinese-llama-2", "baichuan", "llama3"])
def test_every_template_with_real_tokenizers(shared_data: Path, folder: str) -> None:
    tokenizer = real(shared_data / "tokenizers" / folder / "tokenizer.model")
    messages = TALK.messages()
    for name, template in TEMPLATES.items():
        ids, targets = encode_conversation(tokenizer, template, TALK)
        expected = tokenizer.apply_chat_template(
            messages, chat_template=template.jinja, return_dict=True,
            return_assistant_tokens_mask=True,
        )  # fmt: skip
        assert ids == expected["input_ids"], name
        assert targets == [bool(m) for m in expected["assistant_masks"]], name
        for n in (2, 4, 6):
            asked = encode_prompt(tokenizer, name, messages[:n])
            assert ids[: len(asked)] == asked, name
            assert targets[len(asked) - 1 : len(asked) + 1] == [False, True], name
        learnt = tokenizer.decode([i for i, t in zip(ids, targets, strict=True) if t])
        assert all(text in learnt for text in ("不客气” 😀", "：好")), name
        assert not any(text in learnt for text in ("1+1", "Thanks", "INST", "#", "Human")), name


@pytest.mark.parametrize("name", ["hanhua", "llama-2", "alpaca", "flagalpha", "linly",
                                  "colossal+system", "yayi+system"])  # fmt: skip
def test_evaluation_server_and_export_ask_as_training_did(
    spm_yayi: Any, tiny_llama: Path, tmp_path: Path, name: str
) -> None:
    """The folder is saved as finetuning saves it, and read by each as it reads one."""
    pytest.importorskip("fastapi", reason="needs the serve extra")
    from hanhua.eval.samples import _prompt
    from hanhua.export.huggingface import describe
    from hanhua.serve.served import load_served

    template, folder = TEMPLATES[name], tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    if template.needs:
        (folder / "tokenizer.model").unlink()
        spm_yayi.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(template.jinja, encoding="utf-8")
    tokenizer = load_tokenizer(folder)
    talk = Conversation("a", "", (Turn("user", "小明喜欢 Tom?"), Turn("assistant", "Tom likes.")))
    ids, targets = encode_conversation(tokenizer, template, talk)
    trained = ids[: targets.index(True)]
    messages = talk.messages()[:1]
    evaluated = _prompt(SimpleNamespace(tokenizer=tokenizer), messages[0]["content"], True)
    served = load_served(folder, device="cpu", threads=1)
    foreign = AutoTokenizer.from_pretrained(folder)  # what a user of the exported folder does
    exported = foreign.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert evaluated == trained
    assert served.encode_chat(messages) == trained
    assert exported == trained
    assert served.chats
    assert not served.notice
    ends = set(tokenizer.convert_tokens_to_ids(list(template.stop))) or {tokenizer.eos_token_id}
    assert ends <= served.stop_ids
    assert describe(folder, {"parameters": 1})["template"] == name


def cut(tokenizer: Any, template: Template, conversation: Conversation, room: int) -> str:
    """What becomes of a conversation in a row of so many tokens, checked."""
    whole, learnt = encode_conversation(tokenizer, template, conversation)
    fate, found = fit(tokenizer, template, conversation, room)
    if found is None:
        assert fate == "too_long"
        return fate
    ids, targets = found.ids.tolist(), found.targets.tolist()
    assert len(ids) <= room
    assert ids == whole[: len(ids)]
    assert targets == learnt[: len(ids)]
    last = max(i for i, target in enumerate(targets) if target)
    if fate == "answer_cut":
        assert last == len(ids) - 1 == room - 1, "nothing follows a cut answer"
        return fate
    assert ids[last] == tokenizer.eos_token_id
    ends = [i for i, t in zip(ids, targets, strict=True) if t and i == tokenizer.eos_token_id]
    exchanges = len(conversation.turns) // 2
    assert len(ends) == exchanges if fate == "whole" else 0 < len(ends) < exchanges
    return fate


WRITABLE = [n for n, t in TEMPLATES.items() if not t.needs and not n.endswith("+system")]


@pytest.mark.parametrize("name", WRITABLE)
def test_long_conversations_end_where_an_exchange_ends(spm: Any, name: str) -> None:
    """Only where the first answer alone is too long is it cut, and then nothing follows it."""
    texts = ("Tom?", "Tom likes red. " * 50, "hill", "river " * 20, "小明", "天气")
    turns = tuple(Turn(("user", "assistant")[i % 2], t) for i, t in enumerate(texts))  # type: ignore[arg-type]
    talk = Conversation("a", "", turns)
    length = len(encode_conversation(spm, TEMPLATES[name], talk)[0])
    rooms = [8, *range(length // 3, length - 200, 131), length - 90, length - 2, length]
    fates = [cut(spm, TEMPLATES[name], talk, room) for room in rooms]
    assert set(fates) == {"too_long", "answer_cut", "turns_cut", "whole"}


@pytest.mark.parametrize("name", ["hanhua", "llama-2", "alpaca", "colossal"])
@quick
@given(conversation=conversations(), room=st.integers(8, 200))
def test_a_cut_never_falls_into_a_later_answer(
    spm: Any, name: str, conversation: Conversation, room: int
) -> None:
    event(cut(spm, TEMPLATES[name], conversation, room))
