"""``render``: a run folder to ``report.html``, one file that needs no network.

Every section is drawn on its own: what has not run says so, and what cannot be read says why,
because a page that is missing one table is worth more than none.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hanhua.core.files import write_text
from hanhua.report.choice import tasks
from hanhua.report.data import chatdata, corpus, mixture
from hanhua.report.drift import drift
from hanhua.report.headline import headline
from hanhua.report.html import Html, Words, tag
from hanhua.report.origin import cost, origin
from hanhua.report.page import Section, document, paragraph
from hanhua.report.preference import preference
from hanhua.report.run import Run, language, open_run
from hanhua.report.samples import samples
from hanhua.report.scores import bits_per_byte
from hanhua.report.training import training
from hanhua.report.vocabulary import vocabulary

REPORT = "report.html"

SECTIONS: tuple[Callable[[Run], Section], ...] = (
    bits_per_byte, drift, tasks, preference, samples, vocabulary, mixture, corpus, training,
    chatdata, cost, origin,
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
        The path of ``report.html``, whole or as it was before.

    Raises:
        StorageError: when it can't be written.
    """
    run = open_run(run_dir)
    title = str(run.ledger.get("name") or run_dir.name)
    page = document(title, _under(run), _top(run), [_draw(draw, run) for draw in SECTIONS])
    write_text(run_dir / REPORT, page)
    return run_dir / REPORT


def _draw(draw: Callable[[Run], Section], run: Run) -> Section:
    try:
        return draw(run)
    except _UNREADABLE as error:
        name = draw.__name__.replace("_", "-")
        return Section(name, Words(name, name), [_unreadable(error)])


def _top(run: Run) -> list[Html]:
    try:
        return headline(run)
    except _UNREADABLE as error:
        return [_unreadable(error)]


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
