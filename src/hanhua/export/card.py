"""The model card: what went in, under which licences, and what was measured, with n and intervals.

Everything is read from the artifacts of the run; what a run did not do is left out, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hanhua.core.artifact import Artifact
from hanhua.core.files import read_json
from hanhua.export.card_answers import ANSWERS_HEAD, ANSWERS_TEXT, answer_rows, safety_sentence
from hanhua.export.card_verdicts import VERDICTS_HEAD, VERDICTS_TEXT, verdict_rows

TITLES = {"base": "base (untouched)", "expand": "expanded", "pretrain": "pretrained",
          "finetune": "chat", "prefer": "preference-tuned"}  # fmt: skip
"""Names of the models of the walk, in its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card is made from.

    Args:
        target, source: the languages.
        licence: as the recipe states it; empty for none.
        base: where the base model comes from: a hub name, or files with their digests.
        model: parameters, vocabulary and the like, by name.
        template: name of the chat template; None for a base model.
        corpus, chatdata: the ledgers' sources.
        vocab, tokens: what those stages measured.
        scores: scores.json by model of the walk.
    """

    target: str
    source: str
    licence: str = ""
    base: Sequence[Mapping[str, str]] | str = ()
    model: Mapping[str, object] = field(default_factory=dict)
    template: str | None = None
    corpus: Sequence[Mapping[str, Any]] = ()
    chatdata: Sequence[Mapping[str, Any]] = ()
    vocab: Mapping[str, Any] = field(default_factory=dict)
    tokens: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def gather(inputs: Mapping[str, Artifact]) -> dict[str, Any]:
    """What the artifacts of a walk say, as arguments of :class:`CardFacts`."""
    facts: dict[str, Any] = {"base": _origin(inputs.get("base"))}
    for role in ("corpus", "chatdata"):
        ledger = _read(inputs.get(role), "ledger.json")
        facts[role] = [source for source in ledger.get("sources", ()) if isinstance(source, dict)]
    pairs = _read(inputs.get("prefer"), "ledger.json")
    facts["chatdata"] += [source for source in pairs.get("sources", ()) if isinstance(source, dict)]
    for role in ("vocab", "tokens"):
        facts[role] = dict(inputs[role].metrics) if role in inputs else {}
    steer = inputs["pretrain"].metrics.get("steer", {}) if "pretrain" in inputs else {}
    if steer:
        shares = {**facts["tokens"].get("shares", {}), "counted": steer["counted"]}
        facts["tokens"] |= {"shares": shares, "wish": steer["wish"]}
    evals = {name: _read(inputs.get(f"eval-{name}"), "scores.json") for name in TITLES}
    facts["scores"] = {name: scores for name, scores in evals.items() if scores}
    return facts


def _origin(base: Artifact | None) -> Sequence[Mapping[str, str]] | str:
    identity = base.record.get("identity", {}) if base else {}
    model = identity.get("model")
    if identity.get("scratch"):
        return "trained from random weights"
    if isinstance(model, str):
        return model
    return [dict(file) for file in model or () if isinstance(file, Mapping)]


def _read(artifact: Artifact | None, name: str) -> dict[str, Any]:
    path: Path | None = artifact.path / name if artifact else None
    found = read_json(path) if path and path.is_file() else {}
    return found if isinstance(found, dict) else {}


def render_card(facts: CardFacts) -> str:
    """The card as Markdown with the hub's YAML head."""
    blocks = [
        _head(facts), _about(facts), _use(facts), _base(facts), _data(facts), _chat_data(facts),
        _verdicts(facts), _vocabulary(facts), _mixture(facts), _bits(facts), _drift(facts),
        _tasks(facts), _answers(facts), _limits(facts),
    ]  # fmt: skip
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(facts: CardFacts) -> str:
    languages = dict.fromkeys((facts.target, facts.source))
    lines = ["---", "language:", *(f"- {code}" for code in languages)]
    lines += [f"license: {facts.licence}"] if facts.licence else []
    if isinstance(facts.base, str) and "/" in facts.base:
        lines.append(f"base_model: {facts.base.removeprefix('hf:').partition('@')[0]}")
    lines += ["library_name: transformers", "pipeline_tag: text-generation", "tags:", "- hanhua"]
    return "\n".join([*lines, "---"])


def _about(facts: CardFacts) -> str:
    kind = "chat model" if facts.template else "base model"
    rows = [f"- {name}: {value}" for name, value in facts.model.items()]
    text = f"# A language model for {facts.target} and {facts.source}\n\nA {kind} made by hanhua"
    text += f", adapted from {facts.source} to {facts.target}." if facts.target != facts.source else "."  # fmt: skip # noqa: E501
    return text + "\n\n" + "\n".join(rows)


def _use(facts: CardFacts) -> str:
    if not facts.template:
        return "It has no chat template: it continues text and does not answer questions."
    return (
        f"Chat template: `{facts.template}`, in `chat_template.jinja`; it is the one that the "
        "model was trained with. Serve it with `hanhua serve FOLDER`."
    )


def _base(facts: CardFacts) -> str:
    if not facts.base:
        return ""
    if isinstance(facts.base, str):
        return f"## Base model\n\n{facts.base}"
    rows = [(f"`{file.get('name')}`", f"`{file.get('sha256')}`") for file in facts.base]
    return "## Base model\n\n" + _table(("file", "SHA-256"), rows)


def _data(facts: CardFacts) -> str:
    if not facts.corpus:
        return ""
    rows = [(s.get("source"), s.get("language"), s.get("licence"), _count(s.get("in")),
             _count(s.get("kept")), _count(s.get("held_out")), _count(s.get("chars")))
            for s in facts.corpus]  # fmt: skip
    head = ("source", "language", "licence", "documents in", "kept", "held out", "characters")
    return "## Training text\n\n" + _table(head, rows)


def _chat_data(facts: CardFacts) -> str:
    if not facts.chatdata:
        return ""
    rows = [(s.get("source"), s.get("language"), s.get("licence"), _count(s.get("in")),
             _count(s.get("kept"))) for s in facts.chatdata]  # fmt: skip
    head = ("source", "language", "licence", "conversations in", "kept")
    return "## Instruction data\n\n" + _table(head, rows)


def _vocabulary(facts: CardFacts) -> str:
    found = _mapping(facts.vocab.get("tokens_per_char"))
    before, after = _mapping(found.get("before")), _mapping(found.get("after"))
    rows = [(code, _number(before.get(code)), _number(after.get(code)))
            for code in sorted(before.keys() | after.keys())]  # fmt: skip
    if not rows:
        return ""
    return "## Vocabulary\n\nTokens per character of held-out text.\n\n" + _table(
        ("language", "base", "this model"), rows
    )


def _mixture(facts: CardFacts) -> str:
    shares = _mapping(facts.tokens.get("shares"))
    asked, counted = _mapping(shares.get("asked")), _mapping(shares.get("counted"))
    if not counted:
        return ""
    rows = [(code, _percent(asked.get(code)), _percent(counted.get(code)))
            for code in sorted(asked.keys() | counted.keys())]  # fmt: skip
    text = "## Mixture\n\nShare of training tokens, asked for and counted in what was written.\n\n"
    if "wish" in facts.tokens:
        text = (
            "## Mixture\n\nShare of training tokens, asked for and counted in what was read: it "
            f"was steered on the way to meet `{facts.tokens['wish']}`.\n\n"
        )
    return text + _table(("language", "asked", "counted"), rows)


def _verdicts(facts: CardFacts) -> str:
    walked = list(_ordered(facts.scores))
    rows = list(verdict_rows(walked[-1][1])) if walked else []
    if not rows:
        return ""
    return f"## Gained and lost\n\n{VERDICTS_TEXT}\n\n{_table(VERDICTS_HEAD, rows)}"


def _bits(facts: CardFacts) -> str:
    rows = [
        (TITLES[name], code, _interval(score), _count(score.get("n_docs")),
         _count(score.get("n_bytes")))
        for name, scores in _ordered(facts.scores)
        for code, score in sorted(_mapping(scores.get("bits_per_byte")).items())
    ]  # fmt: skip
    if not rows:
        return ""
    text = "## Bits per byte\n\nOn held-out text, with the 95 % interval; lower is better.\n\n"
    return text + _table(("model", "language", "bits per byte", "n documents", "n bytes"), rows)


def _drift(facts: CardFacts) -> str:
    rows = [
        (TITLES[name], place.replace("_", " "), _interval(score, 4))
        for name, scores in _ordered(facts.scores)
        for place, score in sorted(_mapping(scores.get("drift")).items())
        if name != "base"
    ]
    if not rows:
        return ""
    text = (
        f"## Drift in {facts.source}\n\nKL divergence from the untouched base, bits per byte.\n\n"
    )
    return text + _table(("model", "measured on", "KL"), rows)


def _tasks(facts: CardFacts) -> str:
    rows = []
    for name, scores in _ordered(facts.scores):
        for task in scores.get("tasks") or ():
            accuracy = f"{_percent(task.get('accuracy'))} ± {_percent(task.get('stderr'))}"
            difference = _mapping(task.get("difference"))
            rows.append((TITLES[name], task.get("task"), _count(task.get("n")), accuracy,
                         _percent(task.get("chance")), _paired(difference)))  # fmt: skip
            clean = _mapping(task.get("untouched"))
            if clean.get("touched"):
                left_out = f"{_count(clean['touched'])} questions found in training texts"
                rows.append((TITLES[name], f"{task.get('task')}, without {left_out}",
                             _count(clean.get("n")), str(_percent(clean.get("accuracy"))),
                             _percent(task.get("chance")),
                             _paired(_mapping(clean.get("difference")))))  # fmt: skip
    if not rows:
        return ""
    text = "## Multiple choice\n\nAccuracy ± one standard error; the difference is paired.\n\n"
    head = ("model", "task", "n", "accuracy", "chance", "difference from base, 95 % interval")
    return text + _table(head, rows)


def _answers(facts: CardFacts) -> str:
    rows = [(TITLES[name], *row) for name, scores in _ordered(facts.scores)
            for row in answer_rows(scores)]  # fmt: skip
    return f"## Answers\n\n{ANSWERS_TEXT}\n\n{_table(ANSWERS_HEAD, rows)}" if rows else ""


def _limits(facts: CardFacts) -> str:
    return (
        "## Limits\n\nThe model writes what is probable, not what is true. "
        f"{safety_sentence(facts.scores)} "
        "The licences of the base model and of the data above apply to it."
    )


def _ordered(scores: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from ((name, scores[name]) for name in TITLES if name in scores)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(str(key) for key in value)
    text = "–" if value is None else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: Any) -> str | None:
    return f"{value:,}" if isinstance(value, int) else None


def _number(value: Any, digits: int = 3) -> str | None:
    return f"{value:.{digits}f}" if isinstance(value, int | float) else None


def _percent(value: Any) -> str | None:
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else None


def _interval(score: Mapping[str, Any], digits: int = 3) -> str:
    value, low, high = (_number(score.get(key), digits) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]" if low and high else f"{value}"


def _paired(score: Mapping[str, Any]) -> str | None:
    value, low, high = (_percent(score.get(key)) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]" if value else None
