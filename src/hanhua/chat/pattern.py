"""What a chat template is: a few short patterns, from which both text and Jinja are made.

From the patterns come the pieces that we encode and the Jinja that is saved with the tokenizer,
so that the two cannot drift apart (a test holds them together).

Markers. Where turns end in special tokens, which text can never produce (see `encode`), nobody
can forge one. Where a marker is plain text, such as ``[/INST]``, it is broken by a space in what
users and the system say (`Template.shield`), in our pieces and in the Jinja alike. Answers are
left as they are: whoever writes an answer has the turn already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

_SLOT = re.compile(r"\{(bos|eos|system|text)\}")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a rendered conversation.

    Args:
        text: the piece, never empty.
        target: whether a model is to learn it.
        content: whether it was written by a user, an assistant or a system: special tokens that
            seem to stand in it are only characters.
    """

    text: str
    target: bool
    content: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How a conversation is written down.

    The patterns know ``{bos}``, ``{eos}``, ``{text}`` (trimmed) and ``{system}``, which stands
    for the pattern `system` in the place where a system text goes, and for nothing without one.
    """

    name: str
    description: str
    source: str = ""
    """where the format is stated: an address, or the project's file"""
    start: str = ""
    """once, before the first turn"""
    system: str
    question: str
    opening: str
    """before an answer: what a prompt for generation ends with"""
    answer: str
    """all of it is learnt"""
    closing: str = ""
    """after an answer, not learnt"""
    stop: tuple[str, ...] = ()
    """special tokens, all of them in `needs`, that end an answer beside the end token"""
    needs: tuple[str, ...] = ()
    """special tokens that the tokenizer must already have"""
    shield: tuple[str, ...] = ()
    """markers of plain text: broken where a user or a system text writes them"""
    default_system: str = ""
    """the project's own system text; written only where `system_by_default`"""
    system_by_default: bool = False
    """whether a conversation without a system text gets `default_system`"""

    @property
    def needs_bos(self) -> bool:
        """Whether a begin token bounds answers, so that it cannot be left out."""
        return "{bos}" in self.opening

    @property
    def jinja(self) -> str:
        """The same as a chat template for transformers, with ``{% generation %}`` marks."""
        broken = "".join(f" | replace({_quote(m)}, {_quote(_break(m))})" for m in self.shield)
        system = _jinja(self.system, "system" + broken)
        first = "{%- if system and loop.first -%}\n" + system + "{%- endif -%}\n"
        once = "{%- if system -%}\n" + system + "{%- endif -%}\n"
        return _JINJA.format(
            default=_DEFAULT.format(_quote(self.default_system)) if self.system_by_default else "",
            start=_jinja(self.start, "", once),
            question=_jinja(self.question, "message['content'] | trim" + broken, first),
            opening=_jinja(self.opening, ""),
            answer=_jinja(self.answer, "message['content'] | trim"),
            closing=_jinja(self.closing, ""),
        )


_JINJA = """\
{{%- if messages and messages[0]['role'] == 'system' -%}}
{{%- set system = messages[0]['content'] | trim -%}}
{{%- set turns = messages[1:] -%}}
{{%- else -%}}
{{%- set system = '' -%}}
{{%- set turns = messages -%}}
{{%- endif -%}}
{default}{start}{{%- for message in turns -%}}
{{%- if message['role'] != ['user', 'assistant'][loop.index0 % 2] -%}}
{{{{- raise_exception('user and assistant must take turns, the user first') -}}}}
{{%- endif -%}}
{{%- if message['role'] == 'user' -%}}
{question}{{%- else -%}}
{opening}{{%- generation -%}}
{answer}{{%- endgeneration -%}}
{closing}{{%- endif -%}}
{{%- endfor -%}}
{{%- if add_generation_prompt -%}}
{opening}{{%- endif -%}}
"""
_DEFAULT = """\
{{%- if not system -%}}
{{%- set system = {} -%}}
{{%- endif -%}}
"""


def shielded(template: Template, text: str) -> str:
    """A user's or system's text with the template's plain markers broken by a space."""
    for marker in template.shield:
        text = text.replace(marker, _break(marker))
    return text


def with_default_system(template: Template) -> Template:
    """The same template, asked to write its project's system text where none is given."""
    return replace(
        template,
        name=f"{template.name}+system",
        description=f"{template.name}, with its project's system text where there is none",
        system_by_default=True,
    )


@cache
def pieces(pattern: str) -> tuple[tuple[str, str], ...]:
    """The slots and literals of a pattern in order: (slot, "") or ("", literal)."""
    split = enumerate(_SLOT.split(pattern))
    return tuple((piece, "") if i % 2 else ("", piece) for i, piece in split if piece)


def _break(marker: str) -> str:
    return f"{marker[0]} {marker[1:]}"


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _jinja(pattern: str, text: str, system: str = "") -> str:
    """A pattern as Jinja, one tag a line; white space between tags is cut by their dashes."""
    tags = {"bos": "{{- bos_token -}}\n", "eos": "{{- eos_token -}}\n"}
    tags |= {"text": "{{- " + text + " -}}\n", "system": system}
    found = ""
    for slot, literal in pieces(pattern):
        found += tags[slot] if slot else "{{- " + _quote(literal) + " -}}\n"
    return found
