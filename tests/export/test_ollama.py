"""Ollama's template says what the registry's Jinja says, both rendered."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.chat.pattern import Template
from hanhua.chat.template import TEMPLATES, prompt
from hanhua.core.errors import ModelError
from hanhua.export.ollama import go_template, modelfile

_place = importlib.util.spec_from_file_location(
    "go_template", Path(__file__).with_name("go_template.py")
)
go = importlib.util.module_from_spec(_place)
_place.loader.exec_module(go)

TEXTS = st.text("中文 aZ.、{}!1\n", min_size=1, max_size=12).map(str.strip).filter(bool)
BOS, EOS = "<s>", "</s>"


def ours(template: Template, messages: list[dict[str, str]], bos: str) -> str:
    return "".join(span.text for span in prompt(template, messages, bos, EOS))


def theirs(template: Template, messages: list[dict[str, str]], *, adds_bos: bool) -> str:
    """As Ollama renders: its SYSTEM where there is none, BOS in front where one is added."""
    bos = BOS if adds_bos or "{bos}" in template.start + template.question else ""
    if template.system_by_default and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": template.default_system}, *messages]
    system = "".join(m["content"] for m in messages if m["role"] == "system")
    found = go.render(
        go_template(template, bos, EOS, adds_bos=adds_bos),
        {"System": system, "Messages": [{"Role": m["role"], "Content": m["content"]}
                                        for m in messages]},
    )  # fmt: skip
    return BOS + found if adds_bos else found


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=20)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), system=st.none() | TEXTS)
def test_the_same_string_as_the_jinja(name: str, texts: list[str], system: str | None):
    template = TEMPLATES[name]
    if len(texts) % 2 == 0:
        texts = texts[1:]
    messages = [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(texts)]
    if system:
        messages = [{"role": "system", "content": system}, *messages]
    needs = "{bos}" in template.start + template.system + template.question
    for adds_bos in (True, False) if needs else (False,):
        expected = ours(template, messages, BOS)
        assert theirs(template, messages, adds_bos=adds_bos) == expected
    assert texts[-1] in expected


def test_an_answer_begun_is_left_open():
    messages = [{"Role": "user", "Content": "问"}, {"Role": "assistant", "Content": "答"}]
    text = go_template(TEMPLATES["hanhua"], BOS, EOS, adds_bos=True)
    assert go.render(text, {"System": "", "Messages": messages}) == "Q: 问</s>A: 答"


def test_a_modelfile_holds_what_ollama_reads():
    text = modelfile("a.gguf", "{{ .Prompt }}", system="你好", stop=["</s>", 'a"b'],
                     parameters={"num_ctx": 512}, licence="apache-2.0")  # fmt: skip
    assert text.splitlines() == [
        "FROM ./a.gguf", 'TEMPLATE """{{ .Prompt }}"""', 'PARAMETER stop "</s>"',
        'PARAMETER stop "a\\"b"', "PARAMETER num_ctx 512", 'SYSTEM """你好"""',
        'LICENSE """apache-2.0"""',
    ]  # fmt: skip
    with pytest.raises(ModelError, match="three quotes"):
        modelfile("a.gguf", 'x"""y')
