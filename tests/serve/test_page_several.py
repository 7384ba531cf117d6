"""The chat page over several models, in a real browser: columns side by side, and tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from .chromium import Page, chromium, find_chromium
from .conftest import running_several, wait_until
from .test_page import LAST, ask, finished, keep

pytest.importorskip("gguf", reason='needs the extra: pip install "hanhua[gguf]"')
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_chromium(), reason="needs chromium: apt-get install chromium"),
]

HAN = "小明在河边看书"
NAMES = ["small", "small-base", "small-q8_0"]
COLUMN = "[...document.querySelectorAll('.column')]"


@pytest.fixture(scope="module")
def url(small_run: Path) -> Iterator[str]:
    with running_several(small_run, "base", "quantise") as (url, _):
        yield url


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[Page]:
    with chromium() as page:
        yield page
        page.open("about:blank")  # lets go of the connections, so that the server can stop


@pytest.fixture
def page(browser: Page, url: str) -> Page:
    """The page, freshly opened, in English, with short answers."""
    browser.size(1200, 800)
    browser.open(url + "/health")
    browser.js("localStorage.clear()")
    fresh(browser, url, max_tokens=20)
    browser.faults.clear()
    return browser


def fresh(page: Page, url: str, **settings: object) -> None:
    keep(page, language="en", temperature=0, **settings)
    page.open(url + "/")
    page.wait("document.querySelectorAll('#choose-model option').length === 3")


def compare(page: Page, text: str, columns: int = 3) -> None:
    if page.js("document.querySelector('#compare').ariaPressed") != "true":
        page.js("document.querySelector('#compare').click()")
    ask(page, text)
    page.wait(f"document.querySelectorAll('article:last-child .column').length === {columns}")


def ended(page: Page) -> None:
    page.wait("document.querySelector('#stop').hidden")
    page.wait(f"[...{LAST_ROW}.querySelectorAll('.column')].every(c => c.querySelector('.facts'))")


LAST_ROW = "document.querySelector('article:last-child')"


def press(page: Page, label: str, inside: str = "document") -> None:
    page.js(f"[...{inside}.querySelectorAll('button')]"
            f".find(b => b.textContent === '{label}').click()")  # fmt: skip


def answers(url: str, text: str, tokens: int) -> list[str]:
    """What each model answers by the API."""
    common = {"temperature": 0, "max_tokens": tokens}
    found = []
    for name in NAMES:
        if name == "small-base":
            body = {**common, "model": name, "prompt": text}
            choice = httpx.post(url + "/v1/completions", json=body, timeout=60).json()["choices"][0]
            found.append(choice["text"])
        else:
            body = {**common, "model": name, "messages": [{"role": "user", "content": text}]}
            answer = httpx.post(url + "/v1/chat/completions", json=body, timeout=60).json()
            found.append(answer["choices"][0]["message"]["content"])
    return found


def kept(page: Page, at: int = 0) -> dict:
    return page.js(f"JSON.parse(localStorage.getItem('hanhua.chats'))[{at}]")


def test_one_question_goes_to_all_and_each_has_its_column(page, url):
    compare(page, HAN)
    ended(page)
    assert page.js(f"{COLUMN}.map(c => c.querySelector('h3').textContent)") == NAMES
    [question, row] = kept(page)["messages"]
    assert question == {"role": "user", "content": HAN}
    assert [answer["content"] for answer in row["answers"]] == answers(url, HAN, 20)
    assert len({answer["content"] for answer in row["answers"]}) > 1
    for facts in page.js(f"{COLUMN}.map(c => c.querySelector('.facts').textContent)"):
        assert facts.startswith("20 tokens · ")
        assert " s · " in facts
    notes = page.js(f"{COLUMN}.map(c => c.querySelector('.note')?.textContent ?? '')")
    assert ["plain text" in note for note in notes] == [False, True, False]
    tops = page.js(f"{COLUMN}.map(c => Math.round(c.getBoundingClientRect().top))")
    assert len(set(tops)) == 1  # beside each other
    assert page.faults == []
    page.reload()  # it is there again, as it was
    page.wait("document.querySelectorAll('#list .title').length === 1")
    page.js("document.querySelector('#list .title').click()")
    assert page.js("document.querySelectorAll('.column').length") == 3
    assert page.js("document.querySelector('#compare').ariaPressed") == "true"


def test_stop_ends_all_and_keeps_what_was_said(page, url):
    fresh(page, url, max_tokens=3500)
    compare(page, "Tom")
    page.wait(f"{COLUMN}.every(c => c.querySelector('.body').textContent.length > 10)")
    assert page.js("document.querySelectorAll('.column .facts').length") == 0
    page.press("Escape", 27)
    ended(page)
    facts = page.js(f"{COLUMN}.map(c => c.querySelector('.facts').textContent)")
    assert all("stopped" in text for text in facts)
    metrics = httpx.get(url + "/metrics")
    for name in NAMES:
        wait_until(
            lambda name=name: f'hanhua_running{{model="{name}"}} 0' in httpx.get(
                url + "/metrics").text
        )  # fmt: skip
    assert metrics.status_code == 200


def test_one_or_all_are_asked_again_and_an_edit_asks_all(page, url):
    compare(page, "Tom")
    ended(page)
    first = kept(page)["messages"][1]["answers"]
    page.js("localStorage.removeItem('hanhua.chats')")
    press(page, "Regenerate", f"{COLUMN}[1]")
    ended(page)
    assert [a["content"] for a in kept(page)["messages"][1]["answers"]] == [
        a["content"] for a in first
    ]
    press(page, "Regenerate all")
    assert page.js("!document.querySelector('#stop').hidden")
    ended(page)
    assert len(kept(page)["messages"]) == 2
    press(page, "Edit")
    page.js("document.activeElement.value = 'hill'")
    page.press("Enter", 13)
    page.wait("document.querySelector('article.user .body')?.textContent === 'hill'")
    ended(page)
    row = kept(page)["messages"][1]["answers"]
    assert [a["content"] for a in row] == answers(url, "hill", 20)


def test_models_are_chosen_and_two_stay(page, url):
    page.js("document.querySelector('#compare').click()")
    page.js("document.querySelector('#choice input').click()")
    boxes = "[...document.querySelectorAll('#choice input')]"
    assert page.js(f"{boxes}.map(b => [b.checked, b.disabled])") == [
        [False, False], [True, True], [True, True],
    ]  # fmt: skip
    compare(page, "Tom", columns=2)
    ended(page)
    assert [a["model"] for a in kept(page)["messages"][1]["answers"]] == NAMES[1:]
    page.reload()
    page.wait("document.querySelectorAll('#choose-model option').length === 3")
    page.js("document.querySelector('#compare').click()")
    assert page.js(f"{boxes}.map(b => b.checked)") == [False, True, True]


def test_a_plain_chat_asks_the_model_that_is_chosen(page, url):
    ask(page, "Tom")
    finished(page)
    assert page.js(f"{LAST}.querySelector('.facts').textContent").startswith("small · ")
    page.js("""(() => { const list = document.querySelector('#choose-model');
        list.value = 'small-base'; list.dispatchEvent(new Event('change')) })()""")
    assert "Begin a text" in page.js("document.querySelector('#input').placeholder")
    page.js("document.querySelector('#new').click()")
    ask(page, "Tom")
    finished(page)
    said = kept(page)["messages"][1]
    assert (said["model"], said["content"]) == ("small-base", answers(url, "Tom", 20)[1])


def test_the_tokens_of_a_message_before_and_after(page, url):
    def count(**body):
        body = {"prompt": HAN, "add_special_tokens": False, **body}
        return httpx.post(url + "/tokenize", json=body).json()["count"]

    before, after = count(tokenizer="base"), count()
    assert before > 2 * after
    ask(page, HAN)
    finished(page)
    press(page, "Tokens", "document.querySelector('article.user')")
    page.wait("document.querySelector('article.user .counts')")
    text = page.js("document.querySelector('article.user .counts').textContent")
    assert f"{before} → {after} tokens" in text
    cuts = page.js("[...document.querySelectorAll('article.user div.cut')]"
                   ".map(c => c.querySelectorAll('.piece').length)")  # fmt: skip
    assert cuts == [before, after]
    pieces = page.js("[...document.querySelectorAll('article.user div.cut:last-of-type .piece')]"
                     ".map(p => p.textContent).join('')")  # fmt: skip
    assert pieces.strip() == HAN
    assert "⟨E5⟩" in page.js("document.querySelector('article.user .piece.bytes').textContent")
    assert page.js("document.querySelector('article.user details').textContent").count("<s>") == 1
    press(page, "Tokens", "document.querySelector('article.user')")
    assert page.js("document.querySelectorAll('article.user .tokens').length") == 0
    press(page, "Tokens", LAST)
    page.wait(f"{LAST}.querySelector('.counts')")
    page.js("document.querySelector('#language').click()")
    page.wait(f"{LAST}.querySelector('.counts')?.textContent.includes('扩充词表前')")
    assert page.faults == []


def test_tokens_of_a_question_to_several_are_shown_once_for_each_way_to_cut(page):
    compare(page, HAN)
    ended(page)
    press(page, "Tokens", "document.querySelector('article.user')")
    page.wait("document.querySelector('article.user .counts')")
    names = page.js("[...document.querySelectorAll('article.user div.cut .whose')]"
                    ".map(w => w.textContent.replace(/: \\d+$/, ''))")  # fmt: skip
    assert names == ["before expansion (the base's tokenizer) · small-base", "small · small-q8_0"]


@pytest.mark.parametrize("mode", ["compare", "chat"])
def test_phone_width_stacks_and_fits(page, mode):
    page.size(360, 700, phone=True)
    if mode == "compare":
        compare(page, "Tom")
        ended(page)
        lefts = page.js(f"{COLUMN}.map(c => Math.round(c.getBoundingClientRect().left))")
        assert len(set(lefts)) == 1  # below each other
    else:
        ask(page, "Tom")
        finished(page)
    page.js("[...document.querySelectorAll('[aria-expanded]')].forEach(b => b.click())")
    page.wait("document.querySelectorAll('.counts').length === "
              "document.querySelectorAll('[aria-expanded=true]').length")  # fmt: skip
    assert page.js("document.documentElement.scrollWidth") <= 360
    assert page.js("[...document.querySelectorAll('main *')].every(n => "
                   "n.closest('[hidden]') || n.getBoundingClientRect().right <= 361)")  # fmt: skip


def test_with_one_model_there_is_nothing_to_compare(page, server):
    page.open(server + "/health")
    keep(page, language="en", temperature=0, max_tokens=20)
    chat = {"id": "a", "compare": True, "messages": [
        {"role": "user", "content": "Tom"},
        {"role": "assistants", "answers": [{"model": "gone", "content": "an old answer"}]},
    ]}  # fmt: skip
    page.js(f"localStorage.setItem('hanhua.chats', JSON.stringify([{json.dumps(chat)}]))")
    page.open(server + "/")
    page.wait("document.querySelector('#model').textContent === 'tiny'")
    for hidden in ("#compare", "#choose-model", "#choice"):
        assert page.js(f"document.querySelector('{hidden}').hidden")
    ask(page, "Tom")
    finished(page)
    assert "model" not in kept(page)["messages"][1]
    press(page, "Tokens", LAST)
    page.wait(f"{LAST}.querySelector('.counts')")
    assert "→" not in page.js(f"{LAST}.querySelector('.counts').textContent")
    page.js("[...document.querySelectorAll('#list .title')].at(-1).click()")
    assert "an old answer" in page.js("document.querySelector('.column').textContent")
    assert "--beside" in page.js("document.querySelector('#choice').textContent")
    page.js("document.querySelector('#compare').click()")
    assert page.js("document.querySelector('#compare').hidden")
    page.open("about:blank")


def test_no_request_left_this_machine(browser):
    hosts = {urlsplit(url).hostname for url in browser.requests if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}
    assert len(browser.requests) > 20
