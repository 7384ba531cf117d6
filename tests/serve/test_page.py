"""The chat page in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from .chromium import Page, chromium, find_chromium
from .conftest import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_chromium(), reason="needs chromium: apt-get install chromium"),
]

LAST = "document.querySelector('article.assistant:last-child')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture
def page(browser: Page, server: str) -> Page:
    """The page, freshly opened, in English, with short answers."""
    browser.size(1200, 800)
    browser.open(server + "/health")
    keep(browser, language="en", max_tokens=30, temperature=0)
    browser.js("localStorage.removeItem('hanhua.chats')")
    browser.faults.clear()
    browser.open(server + "/")
    browser.wait("document.querySelector('#model').textContent === 'tiny'")
    return browser


def keep(page: Page, **settings: object) -> None:
    page.js(f"localStorage.setItem('hanhua.settings', JSON.stringify({json.dumps(settings)}))")


def ask(page: Page, text: str) -> None:
    page.js("document.querySelector('#input').focus()")
    page.type(text)
    page.press("Enter", 13)


def finished(page: Page) -> None:
    page.wait(f"{LAST}?.querySelector('.facts')")


def test_a_message_streams_and_is_counted(page, client):
    expected = client.post("/v1/chat/completions", json={
        "messages": [{"role": "user", "content": "你好 Tom"}], "temperature": 0, "max_tokens": 30,
    }).json()  # fmt: skip
    ask(page, "你好 Tom")
    finished(page)
    assert page.js("document.querySelector('article.user .body').textContent") == "你好 Tom"
    facts = page.js(f"{LAST}.querySelector('.facts').textContent")
    assert "30 tokens · " in facts
    assert f"prompt {expected['usage']['prompt_tokens']}" in facts
    shown = page.js("JSON.parse(localStorage.getItem('hanhua.chats'))[0].messages[1].content")
    assert shown == expected["choices"][0]["message"]["content"]
    assert page.faults == []


def test_stop_by_key_frees_the_slot_and_keeps_the_text(page, client):
    keep(page, language="en", max_tokens=3500, temperature=0)
    page.reload()
    page.wait("document.querySelector('#model').textContent === 'tiny'")
    ask(page, "Tom")
    page.wait(f"{LAST}?.querySelector('.body').textContent.length > 10")
    assert page.js("document.querySelector('#send').hidden")
    page.press("Escape", 27)
    finished(page)
    assert "stopped" in page.js(f"{LAST}.querySelector('.facts').textContent")
    assert not page.js("document.querySelector('#send').hidden")
    assert len(page.js(f"{LAST}.querySelector('.body').textContent")) > 10
    wait_until(lambda: "hanhua_running 0" in client.get("/metrics").text)


def test_regenerate_and_edit(page):
    ask(page, "Tom")
    finished(page)
    first = page.js(f"{LAST}.querySelector('.body').textContent")
    ask(page, "hill")
    page.wait("document.querySelectorAll('article').length === 4")
    finished(page)
    page.js(
        f"[...{LAST}.querySelectorAll('button')].find(b => b.textContent === 'Regenerate').click()"
    )
    page.wait("document.querySelector('#stop').hidden")
    finished(page)
    assert page.js("document.querySelectorAll('article').length") == 4
    page.js(
        "[...document.querySelectorAll('article.user button')]"
        ".find(b => b.textContent === 'Edit').click()"
    )
    page.wait("document.activeElement.matches('.editor textarea')")
    page.js("document.activeElement.value = 'market'")
    page.press("Enter", 13)
    page.wait("document.querySelectorAll('article').length === 2")
    finished(page)
    assert page.js("document.querySelector('article.user .body').textContent") == "market"
    assert page.js(f"{LAST}.querySelector('.body').textContent") != first


def test_both_languages_and_both_themes(page):
    assert page.js("document.querySelector('#send').textContent") == "Send"
    page.js("document.querySelector('#language').click()")
    assert page.js("document.querySelector('#send').textContent") == "发送"
    assert page.js("document.documentElement.lang") == "zh-CN"
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.js(colour)
    page.js("document.querySelector('#theme').click()")
    assert page.js(colour) != before
    page.reload()
    page.wait("document.querySelector('#send')?.textContent === '发送'")
    assert page.js(colour) != before
    missing = page.js("""import('/words.js').then(({WORDS}) => {
        const [zh, en] = [Object.keys(WORDS.zh), Object.keys(WORDS.en)];
        const lacks = (a, b) => a.filter(k => !b.includes(k));
        return [...lacks(zh, en), ...lacks(en, zh), zh.length]})""")
    assert missing == [missing[-1]]
    assert missing[-1] > 30


def test_a_system_prompt_and_settings_are_sent(page):
    page.js("""window.sent = []; const real = fetch;
        window.fetch = (url, o) => {
            if (o?.body) sent.push(JSON.parse(o.body)); return real(url, o) }""")
    page.js("document.querySelector('#open-settings').click()")
    for name, value in (
        ("system", "Be brief."),
        ("temperature", "1.2"),
        ("top_p", "0.5"),
        ("max_tokens", "7"),
    ):
        page.js(f"""(() => {{ const field = document.querySelector('#{name}');
            field.value = '{value}'; field.dispatchEvent(new Event('input')) }})()""")
    page.js("document.querySelector('#close-settings').click()")
    ask(page, "Tom")
    finished(page)
    [sent] = page.js("sent")
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Tom"},
    ]
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (1.2, 0.5, 7)


def test_conversations_are_kept_and_removed(page):
    ask(page, "Tom")
    finished(page)
    page.js("document.querySelector('#new').click()")
    assert page.js("document.querySelectorAll('article').length") == 0
    ask(page, "hill")
    finished(page)
    page.reload()
    page.wait("document.querySelectorAll('#list .title').length === 2")
    page.js(
        "[...document.querySelectorAll('#list .title')].find(b => b.textContent === 'Tom').click()"
    )
    assert page.js("document.querySelector('article.user .body').textContent") == "Tom"
    page.js("document.querySelector('#list [aria-current]').nextSibling.click()")
    assert page.js("[...document.querySelectorAll('#list .title')].map(b => b.textContent)") == [
        "hill"
    ]


def test_a_refresh_amid_an_answer_keeps_what_had_come(page, client):
    keep(page, language="en", max_tokens=3000, temperature=0)
    page.reload()
    ask(page, "Tom")
    page.wait(f"{LAST}?.querySelector('.body').textContent.length > 40")
    page.reload()
    page.wait(f"{LAST}?.querySelector('.facts')")
    assert page.js(f"{LAST}.querySelector('.facts').textContent") == "stopped"
    assert page.js(f"{LAST}.querySelector('.body').textContent.length") > 40
    assert page.js("document.querySelector('article.user .body').textContent") == "Tom"
    wait_until(lambda: "\nhanhua_running 0\n" in client.get("/metrics").text)
    page.js("document.querySelector('#new').click()")
    page.reload()
    assert page.js("document.querySelectorAll('article').length") == 0  # a new one stays new


def test_two_tabs_do_not_undo_each_other(page, server):
    """Another tab of the browser keeps its conversations, and so does this one."""
    ask(page, "Tom")
    finished(page)
    with page.tab(server + "/") as other:
        other.wait("document.querySelectorAll('#list .title').length === 1")
        ask(page, "hill")
        page.wait("document.querySelectorAll('article').length === 4")
        finished(page)
        other.wait("document.querySelectorAll('#list .title').length === 1")
        ask(other, "river")
        finished(other)
    page.wait("document.querySelectorAll('#list .title').length === 2")
    ask(page, "market")
    page.wait("document.querySelectorAll('article').length === 6")
    finished(page)
    kept = page.js("JSON.parse(localStorage.getItem('hanhua.chats'))")
    said = [[m["content"] for m in chat["messages"] if m["role"] == "user"] for chat in kept]
    assert said == [["Tom", "hill", "market"], ["river"]]


def test_shift_enter_is_a_new_line_and_composing_does_not_send(page):
    page.js("document.querySelector('#input').focus()")
    page.type("a")
    page.press("Enter", 13, modifiers=8)
    page.type("b")
    assert page.js("document.querySelector('#input').value") == "a\nb"
    page.js("""document.querySelector('#input').dispatchEvent(
        new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))""")
    assert page.js("document.querySelectorAll('article').length") == 0


HOSTILE = """<img src=x onerror=alert(1)> <script>alert(1)</script>
[click](javascript:alert(1)) [ok](https://example.org/"onmouseover="alert(1))
```html"><b>
<b>code</b>
```
| a | <i>b</i> |
|---|---|
| 1 | **2** |
"""


def test_markdown_renders_and_nothing_becomes_markup(page):
    html = page.js(f"""import('/markdown.js').then(({{render}}) => {{
        const box = document.createElement('div');
        box.append(render({json.dumps(HOSTILE)}, 'Copy')); return box.innerHTML }})""")
    for tag in ("<img", "<script", "<i>", 'javascript:alert(1)"', 'onmouseover="'):
        assert tag not in html
    assert "<strong>2</strong>" in html
    assert "<td" in html
    text = (
        "# T\n\n1. a\n   - b\n2. `c`\n\n> q\n\n```py\nx = '汉'\n```\n**bold** *it* https://a.org."
    )
    html = page.js(f"""import('/markdown.js').then(({{render}}) => {{
        const box = document.createElement('div');
        box.append(render({json.dumps(text)}, 'Copy')); return box.innerHTML }})""")
    for tag in ("<h3>T</h3>", "<ol", "<ul><li>b</li></ul>", "<code>c</code>", "<blockquote>",
                "<pre><code>x = '汉'</code></pre>", "<strong>bold</strong>", "<em>it</em>",
                'href="https://a.org/"'.replace("/\"", "\"")):  # fmt: skip
        assert tag in html, (tag, html)


TABLE = """如下：
| 列 | one | two | three | four | five | six | seven |
|---|---|---|---|---|---|---|---|
| a\\|b | 很长的内容很长的内容很长的内容 | supercalifragilistic | 1 | 2 | 3 | 4 | 5 |

1. first

   its second part

2. second

[w](https://a.org/x_(y)) مرحبا

مرحبا بالعالم
"""


def test_wide_tables_loose_lists_and_text_from_the_right(page):
    chats = [{"id": "1", "messages": [
        {"role": "user", "content": "مرحبا"},
        {"role": "assistant", "content": TABLE}, {"role": "user", "content": "q"},
        {"role": "assistant", "content": ">" * 20_000},
    ]}]  # fmt: skip
    page.js(f"localStorage.setItem('hanhua.chats', JSON.stringify({json.dumps(chats)}))")
    page.size(390, 800, phone=True)
    page.reload()
    page.wait("document.querySelector('#list .title')")
    page.js("document.querySelector('#list .title').click()")
    answer = "document.querySelectorAll('article.assistant .body')"
    cells = page.js(f"[...{answer}[0].querySelectorAll('tbody td')].map((c) => c.textContent)")
    assert cells[:2] == ["a|b", "很长的内容很长的内容很长的内容"]
    assert len(cells) == 8
    lines = page.js(f"""[...{answer}[0].querySelectorAll('td')].map((cell) =>
        Math.round(cell.clientHeight / parseFloat(getComputedStyle(cell).lineHeight)))""")
    assert max(lines) <= 2  # no column of single characters
    holder = f"{answer}[0].querySelector('.table')"
    assert page.js(f"{holder}.scrollWidth > {holder}.clientWidth")  # it scrolls within itself
    assert page.js("document.documentElement.scrollWidth") == 390
    html = page.js(f"{answer}[0].innerHTML")
    assert "<li>first<p>its second part</p></li><li>second</li>" in html
    assert 'href="https://a.org/x_(y)"' in html
    right = page.js("""['article.user .body', 'article.assistant .body > p:last-child'].map((s) => {
        const range = document.createRange(); const node = document.querySelector(s);
        range.selectNodeContents(node);
        return node.getBoundingClientRect().right - range.getBoundingClientRect().right; })""")
    assert max(right) <= 20
    assert page.js(f"{answer}[1].textContent.length") >= 20_000  # nested too deeply: as it is
    assert not page.faults


def test_a_refusal_is_shown_and_can_be_tried_again(page):
    ask(page, "Tom " * 3000)
    page.wait(f"{LAST}?.querySelector('.error')")
    assert "longer than the model's context" in page.js(
        f"{LAST}.querySelector('.error').textContent"
    )
    ask(page, "Tom")
    page.wait("document.querySelectorAll('article').length === 4")
    finished(page)


def test_a_long_conversation_leaves_out_its_oldest_turns(page):
    for text in ("Tom " * 900, "Tom " * 901, "Tom " * 902):
        ask(page, text)
        finished(page)
        page.wait("document.querySelector('#stop').hidden")
    assert page.js("document.querySelectorAll('.error').length") == 0
    assert "earlier turns not sent" in page.js(f"{LAST}.querySelector('.facts').textContent")


def test_phone_width_fits_and_has_a_drawer(page):
    page.size(360, 700, phone=True)
    ask(page, "Tom")
    finished(page)
    assert page.js("document.documentElement.scrollWidth") <= 360
    page.js("document.querySelector('#menu').click()")
    page.wait("document.querySelector('#drawer').getBoundingClientRect().left >= 0")
    page.js("document.querySelector('#shade').click()")
    page.wait("document.querySelector('#drawer').getBoundingClientRect().right <= 0")


def test_a_key_is_asked_for_and_used(browser, served):
    from .conftest import running_server

    with running_server(served, keys=("secret",)) as (url, _):
        browser.open(url + "/")
        browser.wait("document.querySelector('#settings').open")
        browser.js("document.querySelector('#key').focus()")
        browser.type("secret")
        browser.js("document.querySelector('#close-settings').click()")
        browser.wait("document.querySelector('#model').textContent === 'tiny'")
        browser.open("about:blank")  # lets go of the connection, so that the server can stop


def test_no_request_left_this_machine(browser):
    hosts = {urlsplit(url).hostname for url in browser.requests if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}
    assert len(browser.requests) > 20
