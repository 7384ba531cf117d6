from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import jinja2
import pytest
from chat_cases import PAIRS, conversations, quick
from hypothesis import event, given

from hanhua.chat.config import TemplateName
from hanhua.chat.conversation import Conversation
from hanhua.chat.pattern import shielded
from hanhua.chat.template import (
    DEFAULT,
    TEMPLATES,
    Template,
    get_template,
    prompt,
    render,
    template_by_jinja,
)
from hanhua.core.errors import InputError, RecipeError


def by_jinja(tokenizer: Any, template: Template, messages: Any, **options: Any) -> str:
    return str(
        tokenizer.apply_chat_template(
            messages, chat_template=template.jinja, tokenize=False, **options
        )
    )


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@quick
@given(conversation=conversations())
def test_jinja_gives_what_the_spans_give(
    tokenizers: dict[str, Any], name: str, kind: str, conversation: Conversation
) -> None:
    template, tokenizer = TEMPLATES[name], tokenizers[kind]
    bos, eos = tokenizer.bos_token, tokenizer.eos_token
    spans = render(template, conversation, bos, eos)
    messages = conversation.messages()
    assert "".join(s.text for s in spans) == by_jinja(tokenizer, template, messages)
    assert all(s.text for s in spans)
    asked = prompt(template, messages[:-1], bos, eos)
    expected = by_jinja(tokenizer, template, messages[:-1], add_generation_prompt=True)
    assert "".join(s.text for s in asked) == expected
    assert not asked[-1].target
    assert spans[: len(asked)] == asked, "a prompt must be how its conversation begins"
    event("with a system text" if conversation.system.strip() else "without")


AROUND = {
    "hanhua": (" ", "</s>"), "llama-2": (" ", " </s>"), "llama-3": ("", "<|eot_id|>"),
    "chatml": ("", "<|im_end|>"), "alpaca": ("", "</s>"), "linksoul": (" ", " </s>"),
    "chinese-alpaca-2": (" ", "</s>"), "flagalpha": (" ", "\n</s>"),
    "yayi": ("", "\n\n<|End|>"), "linly": (" ", "</s>"), "colossal": ("", "</s>"),
}  # fmt: skip
"""What is learnt before and after an answer."""


@pytest.mark.parametrize("name", TEMPLATES)
@quick
@given(conversation=conversations())
def test_exactly_the_answers_and_their_ends_are_targets(
    name: str, conversation: Conversation
) -> None:
    template = TEMPLATES[name]
    spans = render(template, conversation, "<s>", "</s>")
    learnt = "".join(s.text for s in spans if s.target)
    lead, end = AROUND[name.removesuffix("+system")]
    answers = [t.text.strip() for t in conversation.turns if t.role == "assistant"]
    assert learnt == "".join(lead + answer + end for answer in answers)
    system = conversation.system.strip() or template.default_system * template.system_by_default
    written = [shielded(template, system)] * bool(system)
    for turn in conversation.turns:
        text = turn.text.strip()
        written.append(text if turn.role == "assistant" else shielded(template, text))
    assert [s.text for s in spans if s.content] == written


TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "你好"},
    {"role": "assistant", "content": "你好！"},
    {"role": "user", "content": "再见"},
    {"role": "assistant", "content": "再见。"},
]
WRITTEN = {
    "hanhua": "<s>S: Be brief.</s>Q: 你好</s>A: 你好！</s>Q: 再见</s>A: 再见。</s>",
    "llama-2": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n你好 [/INST] 你好！ </s>"
    "<s>[INST] 再见 [/INST] 再见。 </s>",
    "llama-3": "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n你好<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n你好！<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n再见<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n再见。<|eot_id|>",
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n你好<|im_end|>\n"
    "<|im_start|>assistant\n你好！<|im_end|>\n<|im_start|>user\n再见<|im_end|>\n"
    "<|im_start|>assistant\n再见。<|im_end|>\n",
    "alpaca": "<s>Be brief.\n\n### Instruction:\n你好\n\n### Response:\n你好！</s>\n\n"
    "### Instruction:\n再见\n\n### Response:\n再见。</s>\n\n",
    "linksoul": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n你好 [/INST] 你好！ </s>"
    "<s>[INST] 再见 [/INST] 再见。 </s>",
    "chinese-alpaca-2": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n你好 [/INST] 你好！</s>"
    "<s>[INST] 再见 [/INST] 再见。</s>",
    "flagalpha": "<s>System: Be brief.\n</s><s>Human: 你好\n</s><s>Assistant: 你好！\n</s>"
    "<s>Human: 再见\n</s><s>Assistant: 再见。\n</s>",
    "yayi": "<s><|System|>:\nBe brief.\n\n<|Human|>:\n你好\n\n<|YaYi|>:\n你好！\n\n<|End|>"
    "<|Human|>:\n再见\n\n<|YaYi|>:\n再见。\n\n<|End|>",
    "linly": "<s>Be brief.\n### Instruction:你好  ### Response: 你好！</s>"
    "### Instruction:再见  ### Response: 再见。</s>",
    "colossal": "<s>Be brief.\n\nHuman: <s>你好</s>Assistant: <s>你好！</s>"
    "Human: <s>再见</s>Assistant: <s>再见。</s>",
}
ASKED = {
    "alpaca": "<s>Below is an instruction that describes a task. Write a response that "
    "appropriately completes the request.\n\n### Instruction:\n你好",
    "linksoul+system": "<s>[INST] <<SYS>>\nYou are a helpful, respectful and honest assistant. ",
    "chinese-alpaca-2+system": "<s>[INST] <<SYS>>\nYou are a helpful assistant. "
    "你是一个乐于助人的助手。\n<</SYS>>\n\n你好 [/INST] 你好！</s>",
    "yayi+system": "<s><|System|>:\nA chat between a human and an AI assistant named YaYi.\n"
    "YaYi is a helpful and harmless language model developed by Beijing Wenge Technology "
    "Co.,Ltd.\n\n<|Human|>:\n你好",
    "colossal+system": "<s>A chat between a curious human and an artificial intelligence "
    "assistant. The assistant gives helpful, detailed, and polite answers to the human's "
    "questions.\n\nHuman: <s>你好</s>",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_template_writes_what_its_models_expect(name: str) -> None:
    spans = prompt(TEMPLATES[name], TALK, "<s>", "</s>", add_generation_prompt=False)
    assert "".join(s.text for s in spans) == WRITTEN[name.removesuffix("+system")]


@pytest.mark.parametrize("name", ASKED)
def test_a_project_s_system_text_is_written_where_it_is_asked_for(name: str) -> None:
    def written(template: Template) -> str:
        spans = prompt(template, TALK[1:], "<s>", "</s>", add_generation_prompt=False)
        return "".join(s.text for s in spans)

    assert written(TEMPLATES[name]).startswith(ASKED[name])
    plain = replace(TEMPLATES[name], system_by_default=False)
    assert plain.default_system[:20] not in written(plain)


def test_linksoul_s_text_is_indented_as_its_server_has_it() -> None:
    """Twelve spaces before the second paragraph (api.py, infer.py), none before the first."""
    ours, metas = TEMPLATES["linksoul"].default_system, TEMPLATES["llama-2"].default_system
    assert ours == ours.strip()
    assert ours.replace("\n\n" + " " * 12 + "If", "\n\nIf") == metas
    assert ours != metas


@pytest.mark.parametrize("roles", [["assistant"], ["user", "user"], ["user", "tool"],
                                   ["system", "assistant"], ["user", "system"]])  # fmt: skip
@pytest.mark.parametrize("name", TEMPLATES)
def test_wrong_roles_are_refused_by_both(spm: Any, name: str, roles: list[str]) -> None:
    messages = [{"role": role, "content": "x"} for role in roles]
    with pytest.raises(InputError, match="take turns"):
        prompt(TEMPLATES[name], messages, "<s>", "</s>")
    with pytest.raises(jinja2.TemplateError, match="take turns"):
        by_jinja(spm, TEMPLATES[name], messages)


def test_the_table_and_the_recipe_name_the_same_templates() -> None:
    assert set(TEMPLATES) == set(TemplateName.__args__)  # type: ignore[attr-defined]
    assert get_template(DEFAULT).needs == ()
    with pytest.raises(RecipeError, match=r"no such chat template[\s\S]*vicuna[\s\S]*hanhua"):
        get_template("vicuna")


def test_every_entry_says_what_it_is() -> None:
    for template in TEMPLATES.values():
        assert template.description
        assert template.source
        assert set(template.stop) <= set(template.needs), "generation stops at ids, not at strings"
        assert template.default_system == template.default_system.strip()
        assert shielded(template, template.default_system) == template.default_system


def test_templates_that_write_the_same_are_the_same() -> None:
    """A saved Jinja leads back to one template; another of the same Jinja may differ in name."""
    told = {"name", "description", "source", "default_system"}
    same = 0
    for template in TEMPLATES.values():
        found = template_by_jinja(template.jinja)
        assert found is not None
        same += found is not template
        ours, other = (
            {k: v for k, v in asdict(t).items() if k not in told} for t in (found, template)
        )
        assert ours == other
    assert same == 1, "linksoul is llama-2"
