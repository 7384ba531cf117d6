"""Ollama's Modelfile: the GGUF file, our chat template in Go's syntax, stop strings and defaults.

Ollama does not read the Jinja in the file; it renders TEMPLATE, in Go's text/template, and finds
special tokens in the result. The Go text is made from the registry's own patterns, so it can't
drift from what the model was trained with; a test renders both and compares strings. Three things
Go's language can't say: texts are not trimmed, markers in what users write are not broken
(``Template.shield``), and turns out of order are not refused.

llama.cpp puts the begin token before every prompt itself, so the first one is left out here.
Source: https://github.com/ollama/ollama/blob/main/docs/modelfile.md and docs/template.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.chat.encode import template_of
from hanhua.chat.pattern import Template, pieces
from hanhua.core.errors import ModelError
from hanhua.core.files import read_json, write_text
from hanhua.model.load import load_tokenizer, read_config

PLAIN = "{{ .Prompt }}"
"""For a model without a chat template: the text is continued."""
_QUOTES = '"""'


def go_template(template: Template, bos: str, eos: str, *, adds_bos: bool) -> str:
    """A template of the registry in Go's syntax, over Ollama's ``.System`` and ``.Messages``.

    Args:
        template: of the registry.
        bos: the tokenizer's begin token, empty where it has none.
        eos: its end token.
        adds_bos: whether the tokenizer puts BOS before every text by itself.
    """
    slots = {"bos": bos, "eos": eos}
    system = "{{ if $.System }}" + _go(template.system, slots, "{{ $.System }}") + "{{ end }}"
    first = "{{ if lt $i 2 }}" + system + "{{ end }}"
    start = _go(template.start, slots, "", system)
    question = _go(template.question, slots, "{{ $m.Content }}", first)
    opening = _go(template.opening, slots)
    body, end = _answer(template, slots)
    if adds_bos and bos:
        start, question = _without_first_bos(start, question, bos)
    last = "{{ if lt 1 (len (slice $.Messages $i)) }}"
    return (
        f'{start}{{{{ range $i, $m := .Messages }}}}{{{{ if eq $m.Role "user" }}}}{question}'
        f'{opening}{{{{ end }}}}{{{{ if eq $m.Role "assistant" }}}}{body}{last}{end}{{{{ end }}}}'
        "{{ end }}{{ end }}"
    )


def _without_first_bos(start: str, question: str, bos: str) -> tuple[str, str]:
    """Take the very first BOS away, which stands in the start or, without one, in a question."""
    if start:
        return start.removeprefix(bos).replace("{{ if $.System }}" + bos, "{{ if $.System }}", 1), (
            question if start.startswith(bos) or bos not in question
            else "{{ if or (lt 1 $i) $.System }}" + bos + "{{ end }}" + question.removeprefix(bos)
        )  # fmt: skip
    later = "{{ if lt 1 $i }}" + bos + "{{ end }}"
    return start, later + question.removeprefix(bos)


def _answer(template: Template, slots: Mapping[str, str]) -> tuple[str, str]:
    """An answer up to its text, and what stands behind; the last one is left open."""
    before, _, behind = template.answer.partition("{text}")
    body = _go(before, slots) + "{{ $m.Content }}"
    return body, _go(behind, slots) + _go(template.closing, slots)


def _go(pattern: str, slots: Mapping[str, str], text: str = "", system: str = "") -> str:
    values = {**slots, "text": text, "system": system}
    return "".join(values[slot] if slot else literal for slot, literal in pieces(pattern))


def modelfile(
    gguf: str, template: str, *, system: str = "", stop: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None, licence: str = "",
) -> str:  # fmt: skip
    """A Modelfile's text.

    Args:
        gguf: the file, as seen from the Modelfile.
        template: in Go's syntax.
        system: system text where a conversation has none.
        stop: strings that end an answer.
        parameters: name -> number, such as num_ctx.
        licence: name or text.

    Raises:
        ModelError: when a text holds three quotes, which a Modelfile can't.
    """
    for name, text in (("TEMPLATE", template), ("SYSTEM", system), ("LICENSE", licence)):
        if _QUOTES in text:
            raise ModelError("A Modelfile can't hold three quotes in a row.", where=name,
                             found=text[:80], fix="take them out")  # fmt: skip
    lines = [f"FROM ./{gguf}", f"TEMPLATE {_QUOTES}{template}{_QUOTES}"]
    lines += [f"PARAMETER stop {_quoted(text)}" for text in stop]
    lines += [f"PARAMETER {name} {value}" for name, value in (parameters or {}).items()]
    lines += [f"SYSTEM {_QUOTES}{system}{_QUOTES}"] if system else []
    lines += [f"LICENSE {_QUOTES}{licence}{_QUOTES}"] if licence else []
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def write_modelfile(folder: Path, gguf: Path, licence: str = "") -> Path:
    """Write ``Modelfile`` beside a GGUF file.

    Args:
        folder: the model folder that the file was made from.
        gguf: the file.
        licence: as the recipe states it.

    Raises:
        ModelError: when the model's chat template is none of the registry.
    """
    tokenizer = load_tokenizer(folder)
    template = _template(tokenizer, folder)
    bos, eos = tokenizer.bos_token or "", tokenizer.eos_token or ""
    adds_bos = bool(bos) and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    begins = template.start + template.system + template.question if template else ""
    if template and adds_bos and "{bos}" not in begins:
        raise ModelError(
            "llama.cpp would put a begin token before a prompt that was trained without one.",
            where=folder, found=f"template {template.name}, begin token {bos}",
            fix="serve this model from its Hugging Face folder",
        )  # fmt: skip
    text = go_template(template, bos, eos, adds_bos=adds_bos) if template else PLAIN
    stated = folder / "generation_config.json"
    sampling = read_json(stated) if stated.is_file() else {}
    parameters = {"num_ctx": int(read_config(folder).max_position_embeddings)}
    parameters |= {key: sampling[key] for key in ("temperature", "top_p") if sampling.get(key)}
    path = gguf.parent / "Modelfile"
    write_text(path, modelfile(
        gguf.name, text, licence=licence, parameters=parameters,
        system=template.default_system if template and template.system_by_default else "",
        stop=[*dict.fromkeys((eos, *(template.stop if template else ())))] if eos else [],
    ))  # fmt: skip
    path.chmod(0o644)
    return path


def _template(tokenizer: Any, folder: Path) -> Template | None:
    if not tokenizer.chat_template:
        return None
    found = template_of(tokenizer)
    if found is None:
        raise ModelError(
            "This model's chat template is none of ours, so it can't be said in Go's syntax.",
            where=folder, found=str(tokenizer.chat_template)[:80],
            fix="export with --to gguf and write the TEMPLATE by hand, or train with a template "
            "that `hanhua template` lists",
        )  # fmt: skip
    return found
