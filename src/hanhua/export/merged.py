"""What goes beside merged weights: how they came about, as JSON, in the card, and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hanhua.core.files import read_json, write_json, write_text
from hanhua.eval.pick_merge import Merging
from hanhua.model.load import load_tokenizer

FORMAT = 1


def finish_merged(merging: Merging, found: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write ``merge.json`` and the card, and the chat model's template where there is no other.

    Args:
        merging: what was merged.
        found: what :func:`hanhua.eval.pick_merge.pick` returned.
        folder: the merged model's.

    Returns:
        The content of ``merge.json``.
    """
    facts = {
        "format": FORMAT, "target": merging.target, "source": merging.source,
        "max_source_rise": merging.max_rise,
        "models": {
            "trained": [_name(path) for path in merging.trained], "base": _name(merging.base),
            "start": merging.start and _name(merging.start),
            "chat": merging.chat and _name(merging.chat),
        },
        "new_rows": "trained" if merging.start is None else "start", **found,
    }  # fmt: skip
    if merging.chat is not None and found["chosen"]["chat_weight"]:
        facts["template_from_chat"] = _take_template(merging.chat, folder, found["shared_tokens"])
    write_json(folder / "merge.json", facts)
    card = merging.trained[0] / "README.md"
    text = card.read_text(encoding="utf-8").rstrip() if card.is_file() else "# A merged model"
    write_text(folder / "README.md", f"{text}\n\n## Merged\n\n{_story(facts)}\n")
    for name in ("merge.json", "README.md"):
        (folder / name).chmod(0o644)
    return facts


def _name(folder: Path) -> str:
    """Run, stage and folder, without where they lie."""
    return "/".join(folder.absolute().parts[-3:])


def _take_template(chat: Path, folder: Path, shared: int) -> bool:
    """Give a model without a template the chat model's, and its ends; returns whether it did.

    Not where the template needs tokens that the model does not have under the same ids.
    """
    own, other = load_tokenizer(folder), load_tokenizer(chat)
    template = other.chat_template
    if own.chat_template or not isinstance(template, str):
        return False
    added = {token.content: i for i, token in other.added_tokens_decoder.items()}
    if any(text in template and i >= shared for text, i in added.items()):
        return False
    write_text(folder / "chat_template.jinja", template)
    path = folder / "generation_config.json"
    theirs = chat / "generation_config.json"
    if theirs.is_file() and "eos_token_id" in (stated := read_json(theirs)):
        mine = read_json(path) if path.is_file() else {}
        write_json(path, mine | {"eos_token_id": stated["eos_token_id"]})
        path.chmod(0o644)
    (folder / "chat_template.jinja").chmod(0o644)
    return True


def _story(facts: Mapping[str, Any]) -> str:
    """How the model came about, in a paragraph."""
    chosen, models = facts["chosen"], facts["models"]
    trained = " and ".join(f"`{name}`" for name in models["trained"])
    if len(models["trained"]) > 1:
        trained = f"the average of {trained}"
    text = f"These weights are {chosen['weight']:g} × {trained} + {1 - chosen['weight']:g} × "
    text += f"`{models['base']}`"
    if chosen["chat_weight"]:
        text += f" + {chosen['chat_weight']:g} × (`{models['chat']}` − `{models['base']}`)"
    if facts["new_rows"] == "start":
        text += f"; rows of new tokens have those of `{models['start']}` in place of the base's"
    else:
        text += "; rows of new tokens are as trained"
    return text + ".\n\n" + "\n".join(_proof_lines(facts)) + "\n\nMade by `hanhua merge`."


def _proof_lines(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    for language, proof in facts["chosen"]["proof"].items():
        change = proof["difference"]
        lines.append(
            f"- {language}: {proof['value']:.4f} bits per byte, {change['value']:+.4f} "
            f"[{change['low']:+.4f}, {change['high']:+.4f}] from the base, on {proof['n_docs']} "
            "held-out documents that had no say in the choice"
        )
    return lines


def merge_text(facts: Mapping[str, Any]) -> str:
    """The table of candidates, the choice and its proof, for people."""
    target, source, chosen = facts["target"], facts["source"], facts["chosen"]
    with_chat = facts["models"]["chat"] is not None
    head = f"{'weight':>8}{'chat' if with_chat else '':>6}{target:>10}{source:>10}{'rise':>10}"
    base = facts["base"]
    lines = ["bits per byte on the half of the held-out text that picks", head]
    lines.append(f"{'base':>8}{'':>6}{base[target]:>10.4f}{base[source]:>10.4f}")
    for row in facts["candidates"]:
        same = all(row[key] == chosen[key] for key in ("weight", "chat_weight"))
        chat = f"{row['chat_weight']:g}" if with_chat else ""
        lines.append(
            f"{row['weight']:>8g}{chat:>6}{row['target']:>10.4f}{row['source']:>10.4f}"
            f"{row['source_rise'] * 100:>+9.2f}%" + ("  chosen" if same else "")
        )
    limit = f"{facts['max_source_rise'] * 100:g} %"
    if not facts["fits"]:
        lines.append(f"no model keeps {source} within {limit}: chosen is the one that rises least")
    return "\n".join([*lines, "", *_proof_lines(facts)])
