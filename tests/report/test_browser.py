"""The page in a real browser: switches, keyboard, phone, print; silent and without a request."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from walked import write_run

from hanhua.report.render import render

sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))
from chromium import chromium, find_chromium

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="needs Chromium on the PATH")
TAB, ENTER = ("Tab", 9), ("Enter", 13)
TITLE = "document.querySelector('section h2').innerText"
FITS = "document.documentElement.scrollWidth <= window.innerWidth"

WHOLE_WORDS = """[...document.querySelectorAll('#origin th, #training th, #cost th, #corpus th')]
    .filter((cell) => /^\\S+$/.test(cell.innerText.trim())).map((cell) => {
        const range = document.createRange(); range.selectNodeContents(cell);
        const rows = new Set([...range.getClientRects()].filter((r) => r.width).map((r) => r.top));
        if (rows.size > 1) throw new Error(`broken: ${cell.innerText}`); }).length"""
"""How many heads of one word there are in tables; an error where one is broken in two."""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    page = render(write_run(tmp_path_factory.mktemp("runs")))
    with chromium() as found:
        found.size(1120, 900)
        found.open(f"{page.as_uri()}#en")
        yield found
        assert found.faults == []
        assert all(url.startswith("file:") for url in found.requests)


def test_switches_work(tab: Any) -> None:
    state = f"[document.documentElement.lang, {TITLE}].join('|')"
    assert tab.js(state) == "en|Chinese against English"
    tab.js("document.getElementById('language').click()")
    assert tab.js(state) == "zh-CN|中文与英文的取舍"
    tab.js("document.getElementById('language').click()")
    assert tab.js(state) == "en|Chinese against English"
    paper = "getComputedStyle(document.body).backgroundColor"
    before = tab.js(paper)
    tab.js("document.getElementById('theme').click()")
    assert tab.js(paper) != before
    tab.js("document.getElementById('theme').click()")
    assert tab.js(paper) == before


def test_theme_follows_the_system_until_it_is_chosen(tab: Any) -> None:
    tab.js("document.documentElement.removeAttribute('data-theme')")
    paper = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for scheme in ("light", "dark"):
        tab.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])  # fmt: skip
        seen.append(tab.js(paper))
    assert seen[0] != seen[1]


def test_keyboard_reaches_everything(tab: Any) -> None:
    tab.press(*TAB)
    assert tab.js("document.activeElement.className") == "skip"
    assert tab.js("document.activeElement.getBoundingClientRect().left") >= 0  # it shows itself
    tab.press(*ENTER)
    assert tab.js("document.activeElement.id") == "sections"
    tab.js("document.querySelector('#drift details summary').focus()")
    assert tab.js("document.querySelector('#drift details').open") is False
    tab.press(*ENTER)
    assert tab.js("document.querySelector('#drift details').open") is True
    names = tab.js("[...document.querySelectorAll('button')].map(b => b.innerText.trim()).join()")
    assert "," in names
    assert not names.startswith(",")


@pytest.mark.parametrize("shown", ["en", "zh"])
def test_phone_scrolls_tables_not_the_page(tab: Any, shown: str) -> None:
    tab.size(390, 800, phone=True)
    tab.js(f"document.documentElement.setAttribute('data-show', '{shown}')")
    tab.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert tab.js(FITS)
    wide = "[...document.querySelectorAll('.scroll')].some(d => d.scrollWidth > d.clientWidth)"
    assert tab.js(wide)  # the case occurred
    tab.size(1120, 900)
    assert tab.js(FITS)


def test_print_shows_the_content_only(tab: Any) -> None:
    tab.size(794, 1123)  # A4
    tab.js("document.documentElement.removeAttribute('data-theme')")
    tab.call("Emulation.setEmulatedMedia", media="print", features=[
        {"name": "prefers-color-scheme", "value": "dark"}])  # fmt: skip
    tab.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert tab.js(FITS)  # nothing scrolls on paper
    assert tab.js("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.js(WHOLE_WORDS) > 20
    hidden = "getComputedStyle(document.querySelector('.buttons')).display"
    assert tab.js(hidden) == "none"
    assert tab.js("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert tab.js("document.querySelector('.forest').getBoundingClientRect().height") > 50
    tab.call("Emulation.setEmulatedMedia", media="", features=[])
