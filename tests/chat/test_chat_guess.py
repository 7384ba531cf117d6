from __future__ import annotations

import copy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chat_cases import PAIRS

from hanhua.chat.encode import encode_prompt
from hanhua.chat.guess import give_template, guess_template
from hanhua.chat.template import TEMPLATES, template_by_jinja

QWEN = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nHelp.<|im_end|>\n{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def named(tokenizer: Any, name: str, jinja: str | None = None) -> Any:
    found = copy.deepcopy(tokenizer)
    found.name_or_path, found.chat_template = name, jinja
    return found


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_our_own_jinja_leads_back(tokenizers: dict[str, Any], name: str, kind: str) -> None:
    template = TEMPLATES[name]
    found = guess_template(None, named(tokenizers[kind], "x", template.jinja))
    assert found is not None
    assert found.template is template_by_jinja(template.jinja)
    edited = guess_template(None, named(tokenizers[kind], "x", template.jinja + "{#- edited -#}"))
    assert edited is not None
    # Where a system text is given, a template writes the same, asked for its own text or not.
    plain = name.removesuffix("+system")
    assert edited.template.name == {"linksoul": "llama-2"}.get(plain, plain)


def test_a_foreign_jinja_is_known_by_what_it_writes(byte_chatml: Any) -> None:
    found = guess_template(None, named(byte_chatml, "x", QWEN))
    assert found is not None
    assert found.template.name == "chatml"
    assert "writes the same" in found.reason
    other = QWEN.replace("assistant\n", "bot\n")
    assert guess_template(None, named(byte_chatml, "qwen-7b-chat", other)) is None
    broken = "{{ raise_exception('no system') }}"
    assert guess_template(None, named(byte_chatml, "x", broken)) is None


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("/models/Chinese-Llama-2-7b", 32_000, "linksoul"),
        ("LinkSoul/Chinese-Llama-2-7b", 32_000, "linksoul"),
        ("hfl/chinese-llama-2-7b", 55_296, None),
        ("Linly-AI/Chinese-LLaMA-2-7B-hf", 40_076, "linly"),
        ("hfl/chinese-alpaca-2-7b", 55_296, "chinese-alpaca-2"),
        ("FlagAlpha/Atom-7B-Chat", 65_000, "flagalpha"),
        ("FlagAlpha/Atom-7B", 65_000, None),
        ("FlagAlpha/Llama2-Chinese-13b-Chat", 32_000, "flagalpha"),
        ("meta-llama/Llama-2-7b-chat-hf", 32_000, "llama-2"),
        ("meta-llama/Llama-2-7b-hf", 32_000, None),
        ("/cache/models--meta-llama--Llama-2-7b-chat-hf/snapshots/08751db2", 32_000, "llama-2"),
        ("runs/llama-2-7b-chat/03-pretrain", 32_000, None),
        ("Qwen/Qwen-7B-Chat", 151_936, None),  # this tokenizer lacks its tokens
        ("hpcai-tech/Colossal-LLaMA-2-7b-base", 69_104, None),
        ("", 32_000, None),
    ],
)
def test_a_model_is_known_by_name(spm: Any, name: str, rows: int, expected: str | None) -> None:
    config = SimpleNamespace(vocab_size=rows, _name_or_path=name)
    for found in (guess_template(config, named(spm, "elsewhere")),
                  guess_template(SimpleNamespace(vocab_size=rows), named(spm, name))):  # fmt: skip
        assert (found and found.template.name) == expected


def test_yayi_is_known_by_its_tokens(spm: Any, spm_yayi: Any) -> None:
    assert guess_template(None, named(spm, "x")) is None
    found = guess_template(None, named(spm_yayi, "x"))
    assert found is not None
    assert found.template.name == "yayi"


def test_a_tokenizer_without_a_template_gets_the_one_found(spm: Any, tiny_llama: Path) -> None:
    config = SimpleNamespace(vocab_size=32_000)
    tokenizer = named(spm, "Llama-2-7b-chat")
    assert "using llama-2, as the model is called llama-2-7b-chat" in give_template(
        config, tokenizer
    )
    assert tokenizer.chat_template == TEMPLATES["llama-2"].jinja
    assert give_template(config, tokenizer) == "", "it has one now"
    base = named(spm, str(tiny_llama))
    assert give_template(config, base) == ""
    assert base.chat_template is None


def test_the_server_uses_the_template_found_and_says_so(tiny_llama: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="needs the serve extra")
    from hanhua.serve.served import load_served

    shutil.copytree(tiny_llama, tmp_path / "Llama-2-7b-chat")
    served = load_served(tmp_path / "Llama-2-7b-chat", device="cpu", threads=1)
    assert served.chats
    assert served.notice.startswith("no chat template in the folder: using llama-2")
    asked = [{"role": "user", "content": "Tom?"}]
    assert served.encode_chat(asked) == encode_prompt(served.tokenizer, "llama-2", asked)
    base = load_served(tiny_llama, device="cpu", threads=1)
    assert (base.chats, base.notice) == (False, "")
