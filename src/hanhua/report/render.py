"""``render``: a run folder to ``report.html``, one file that needs no network, and ``report.json``.

Every section is drawn on its own: what has not run says so, and what cannot be read says why,
because a page that is missing one table is worth more than none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hanhua.core.files import write_json, write_text
from hanhua.report.answers import answers
from hanhua.report.choice import tasks
from hanhua.report.cost import cost
from hanhua.report.data import chatdata, corpus, mixture
from hanhua.report.drift import drift
from hanhua.report.facts import facts, plain
from hanhua.report.forest import forest
from hanhua.report.headline import figures, verdict
from hanhua.report.html import Html, Words, tag
from hanhua.report.origin import origin
from hanhua.report.page import Section, document, paragraph
from hanhua.report.preference import preference
from hanhua.report.quantised import quantised
from hanhua.report.run import Run, language, open_run
from hanhua.report.samples import samples
from hanhua.report.scores import bits_per_byte
from hanhua.report.stopped import stopped
from hanhua.report.trade import trade
from hanhua.report.training import training
from hanhua.report.vocabulary import vocabulary

REPORT, FACTS = "report.html", "report.json"

SECTIONS: tuple[Callable[[Run], Section], ...] = (
    trade, bits_per_byte, tasks, answers, drift, preference, quantised, samples, vocabulary,
    mixture, corpus, training, chatdata, cost, origin,
)  # fmt: skip
"""In page order: what was measured, what it writes, what it was made of, what it cost."""

_UNREADABLE = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    OSError,
    ArithmeticError,
)


def render(run_dir: Path) -> Path:
    """Write the report of a run.

    Args:
        run_dir: a folder with ``ledger.json``; anything missing is said on the page.

    Returns:
        The path of ``report.html``, whole or as it was before; ``report.json`` lies beside it.

    Raises:
        StorageError: when it can't be written.
    """
    run = open_run(run_dir)
    title = str(run.ledger.get("name") or run_dir.name)
    sections = [_draw(draw, run) for draw in SECTIONS]
    page = document(title, _under(run), _top(run), sections)
    write_text(run_dir / REPORT, page)
    write_json(run_dir / FACTS, _facts(run, sections))
    return run_dir / REPORT


def _facts(run: Run, sections: Sequence[Section]) -> Any:
    try:
        return plain(facts(run, sections))
    except _UNREADABLE as error:
        return {"unreadable": f"{type(error).__name__}: {error}"}


def _draw(draw: Callable[[Run], Section], run: Run) -> Section:
    try:
        return draw(run)
    except _UNREADABLE as error:
        name = draw.__name__.replace("_", "-")
        return Section(name, Words(name, name), [_unreadable(error)])


def _top(run: Run) -> list[Html]:
    """Where it stopped, the verdict, the chart of gains and losses, the large figures."""
    parts: list[Html] = []
    for draw in (stopped, verdict, forest, figures):
        try:
            parts += draw(run)
        except _UNREADABLE as error:
            parts.append(_unreadable(error))
    return parts


def _unreadable(error: Exception) -> Html:
    what = f"{type(error).__name__}: {error}"
    return paragraph(
        f"This part could not be read ({what}).", f"此部分无法读取（{what}）。", "absent"
    )


def _under(run: Run) -> Html:
    target, source = language(run.target), language(run.source)
    said = tag(
        "span",
        Words(
            f"{source.en} model to {target.en}: what was gained, what was lost",
            f"{source.zh}模型 → {target.zh}：得与失",
        ),
    )
    if run.ledger and not run.ledger.get("complete"):
        unfinished = Words(" · this run is not finished", " · 本次运行尚未完成")
        return tag("p", said, tag("strong", unfinished), class_="soft-text")
    return tag("p", said, class_="soft-text")
