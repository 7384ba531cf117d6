from __future__ import annotations

from typing import Any

import jinja2
import pytest
from chat_cases import PAIRS, conversations, quick
from hypothesis import event, given

from hanhua.chat.config import TemplateName
from hanhua.chat.conversation import Conversation
from hanhua.chat.template import DEFAULT, TEMPLATES, Template, get_template, prompt, render
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


@pytest.mark.parametrize("name", TEMPLATES)
@quick
@given(conversation=conversations())
def test_exactly_the_answers_and_their_ends_are_targets(
    name: str, conversation: Conversation
) -> None:
    template = TEMPLATES[name]
    spans = render(template, conversation, "<s>", "</s>")
    learnt = "".join(s.text for s in spans if s.target)
    end = {"hanhua": "</s>", "llama-2": " </s>", "llama-3": "<|eot_id|>", "chatml": "<|im_end|>"}
    lead = {"hanhua": " ", "llama-2": " ", "llama-3": "", "chatml": ""}
    answers = [t.text.strip() for t in conversation.turns if t.role == "assistant"]
    assert learnt == "".join(lead[name] + answer + end[name] for answer in answers)
    written = [conversation.system.strip()] * bool(conversation.system.strip())
    written += [t.text.strip() for t in conversation.turns]
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
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_template_writes_what_its_models_expect(name: str) -> None:
    spans = prompt(TEMPLATES[name], TALK, "<s>", "</s>", add_generation_prompt=False)
    assert "".join(s.text for s in spans) == WRITTEN[name]


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
    with pytest.raises(RecipeError, match=r"no such chat template[\s\S]*alpaca[\s\S]*hanhua"):
        get_template("alpaca")
