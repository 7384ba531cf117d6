"""The report page: from a walked run folder to one file that needs nothing else."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from walked import DOCS, MODELS, write_run

from hanhua.core.files import read_json, write_json
from hanhua.report.render import SECTIONS, render
from hanhua.report.run import ORDER
from hanhua.report.samples import tidied
from hanhua.report.summary import summarise, text_summary
from hanhua.stages import ORDER as WALK_ORDER

VOID = {"meta", "br", "hr"}
HOSTILE = (
    "<script>alert('x')</script> \u202eevil\u0000\ud800 \"&amp; </p></style><img src=x onerror=y>"
)


class Page(HTMLParser):
    """Holds tags to their ends and remembers what the page would ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.asked += [v or "" for k, v in attrs if k in ("src", "srcset", "data", "action")]
        self.asked += [found.get("href") or ""] if tag == "link" else []
        self.links += [found.get("href") or ""] if tag == "a" else []
        self.ids += [found["id"] or ""] if "id" in found else []
        assert not any(key.startswith("on") for key in found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def own_run(run_dir: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(run_dir, tmp_path / "own"))


def page_of(run_dir: Path) -> str:
    return render(run_dir).read_text(encoding="utf-8")


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found, name
    return found[0]


def test_page_is_well_formed_and_has_every_section(run_dir: Path) -> None:
    text = page_of(run_dir)
    page = Page(text)
    assert not page.open
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("section") == len(SECTIONS) == 15
    assert "Not run" not in text
    assert "could not be read" not in text
    assert page.tags.count("svg") >= 10


def test_page_asks_nothing_of_the_network(run_dir: Path) -> None:
    text = page_of(run_dir)
    page = Page(text)
    assert page.asked == []
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttp", text)
    inside = [link for link in page.links if not link.startswith("#")]
    assert inside
    assert all((run_dir / link).is_file() for link in inside)
    anchors = {link[1:] for link in page.links if link.startswith("#")}
    assert anchors == set(page.ids) - {"language", "theme", "change"}


def test_page_is_the_same_each_time(run_dir: Path, tmp_path: Path) -> None:
    first = page_of(run_dir)
    moved = tmp_path / "elsewhere"
    shutil.copytree(run_dir, moved)
    assert page_of(moved) == first == page_of(run_dir)
    assert str(run_dir) not in first


def test_every_word_is_in_both_languages(run_dir: Path) -> None:
    text = page_of(run_dir)
    assert text.count('data-lang="en" lang="en"') == text.count('data-lang="zh" lang="zh-CN"') > 100


def test_headline_says_what_was_gained_and_lost(run_dir: Path) -> None:
    text = page_of(run_dir)
    top = text[: text.index("<nav")]
    for figure in (
        "24.10 → ",
        "2.66",
        "2.95 → ",
        "2.74",
        "0.120",
        "2.93 → ",
        "0.83",
        "70.0 : 30.0",
    ):
        assert figure in top, figure
    sentences = top[: top.index('id="change"')]
    assert sentences.count("tag good") == 4
    assert "cmmlu: 25.0 % → 45.0 % right (n = 200, chance 25.0 %)" in top
    assert f"n = {DOCS} documents" in top


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, sample=HOSTILE)
    ledger = read_json(run_dir / "ledger.json")
    ledger["name"] = "</title><script>1</script>"
    ledger["machine"]["cpu"] = "<img src=x>"
    write_json(run_dir / "ledger.json", ledger)
    text = page_of(run_dir)
    page = Page(text)
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    samples = section(text, "samples")
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in samples
    assert "␀" in samples
    assert "\x00" not in text


@pytest.mark.parametrize("stages", [(), ("base",), ("base", "corpus", "eval-base"), ("corpus",)])
def test_missing_stages_are_said_not_failed(tmp_path: Path, stages: tuple[str, ...]) -> None:
    if stages:
        run_dir = write_run(tmp_path, stages=stages)
    else:
        run_dir = tmp_path / "empty"
        run_dir.mkdir()
    text = page_of(run_dir)
    assert not Page(text).open
    missing = re.findall(r"Not run: ([^<]*)\.", text)
    assert len(missing) == 1
    assert "Training" in missing[0]
    assert "could not be read" not in text
    assert "Nothing has been compared yet." in text
    assert ("Bits per byte" in missing[0]) == ("eval-base" not in stages)
    assert ('<section id="bits-per-byte"' in text) == ("eval-base" in stages)


def test_what_was_seen_while_it_trained_is_shown(own_run: Path) -> None:
    run_dir = own_run
    plain = section(page_of(run_dir), "training")
    (path,) = run_dir.glob("pretrain-*/log.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["held_out_start"] = {"zh": 4.0, "en": 1.0}
    for line in lines[99::100]:
        line["held_out"] = {"zh": 2.0, "en": 1.0 + line["step"] / 1000}
    for line in lines[200:204]:
        for key in ("loss", "losses", "targets", "grad_norm"):
            del line[key]
        line["skipped"] = {"why": "the loss is not a number", "loss": None, "rows": 2}
    lines[203]["went_back_to_step"] = 200
    lines[-1]["stopped"] = {
        "at_step": 400, "kept_step": 300, "language": "en", "rise_bits": 0.4, "max_rise_bits": 0.3,
    }  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = section(page_of(run_dir), "training")
    assert shown.count("<svg") == plain.count("<svg") + 1
    for words in (
        "Chinese, held-out bits per byte", "refused as spikes: 4", "ways back to a kept step: 1",
        "Stopped early at step 400", "0.400 bits per byte", "The model of step 300 went on",
    ):  # fmt: skip
        assert words in shown
        assert words not in plain


def test_held_out_answers_are_drawn_by_language_and_domain(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, stages=("base", "chatdata", "finetune"))
    (path,) = run_dir.glob("finetune-*/log.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    plain = section(page_of(run_dir), "training")
    lines[0]["answers_start"] = {"languages": {"zh": 5.0}, "domains": {"law": 4.0}}
    for line in lines[99::100]:
        line["answers"] = {"languages": {"zh": 3.0}, "domains": {"law": 2.0}}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ledger = read_json(run_dir / "ledger.json")
    ledger["stages"]["chatdata"]["metrics"] = {
        "balance": {"domains": {"asked": {"law": 0.3}, "counted": {"law": 0.2987}}},
        "quality": {"scored": 2000, "mean_score": 0.97},
    }
    write_json(run_dir / "ledger.json", ledger)
    shown = section(page_of(run_dir), "training")
    assert shown.count("<svg") == plain.count("<svg") + 2
    for words in ("Chinese, held-out answers", "law, held-out answers"):
        assert words in shown
        assert words not in plain
    data = section(page_of(run_dir), "chatdata")
    assert "0.2987" in data
    assert "mean_score" in data


def test_a_steered_mixture_is_counted_as_it_was_read(own_run: Path) -> None:
    run_dir = own_run
    (path,) = run_dir.glob("pretrain-*/log.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines[99::100]:
        line["steer"] = {"shares": {"zh": 0.5, "en": 0.5}, "projected": {}}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ledger = read_json(run_dir / "ledger.json")
    read = {"counted": {"zh": 0.61, "en": 0.39}, "wish": "en+5%", "passes": {"zh": 0.9, "en": 1.3}}
    ledger["stages"]["pretrain"]["metrics"]["steer"] = read
    ledger["summary"] = summarise(run_dir, ledger["stages"])
    write_json(run_dir / "ledger.json", ledger)
    mixture, training = (section(page_of(run_dir), name) for name in ("mixture", "training"))
    assert "61.00 %" in mixture
    assert "70.00 %" in mixture  # asked
    assert "to the wish en+5%" in mixture
    assert "Chinese, share of tokens" in training
    assert text_summary(ledger).splitlines()[-1].endswith("steered to en+5%")
    read |= {"limit": 0.2627, "ended": 0.271, "kept": False}
    ledger["summary"] = summarise(run_dir, ledger["stages"])
    write_json(run_dir / "ledger.json", ledger)
    last = text_summary(ledger).splitlines()[-1]
    assert last.endswith("to en+5%: missed, 0.271 bits per byte of watched text for 0.263")
    assert "It was missed: 0.271 bits per byte" in section(page_of(run_dir), "mixture")


def test_unfinished_run_is_marked(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, stages=("base", "corpus"))
    assert "this run is not finished" not in page_of(run_dir)
    ledger = read_json(run_dir / "ledger.json")
    write_json(run_dir / "ledger.json", {**ledger, "complete": False})
    assert "this run is not finished" in page_of(run_dir)


def test_preferences_are_shown_with_their_errors(run_dir: Path) -> None:
    found = section(page_of(run_dir), "preference").replace('<span class="range">', " ")
    assert "By DPO." in found
    assert "25.0 % ± 6.9" in found  # right before
    assert "75.0 % ± 6.9" in found  # right after
    assert "0.200 ± 0.028" in found  # the margin after: 30 of 0.3 and 10 of -0.1
    assert found.count("<tr>") == 4  # head, all, zh, en
    curves = section(page_of(run_dir), "training")
    assert curves.count("Chinese, pairs told right") == curves.count("Chinese, margin") > 0


def test_broken_files_do_not_stop_the_page(own_run: Path) -> None:
    run_dir = own_run
    for name in ("scores.json", "samples.json", "report.json", "log.jsonl"):
        for path in run_dir.rglob(name):
            path.write_text('{"half": ', encoding="utf-8")
    for path in run_dir.glob("corpus-*/ledger.json"):
        path.write_text('{"sources": [{"dropped": {"a": "many"}}, 3, null]}', encoding="utf-8")
    text = page_of(run_dir)
    assert not Page(text).open
    assert '<section id="samples"' not in text
    assert "Chinese" in section(text, "bits-per-byte")  # from the ledger


def test_ledger_of_other_shapes_does_not_stop_the_page(run_dir: Path, tmp_path: Path) -> None:
    """Whatever part of the ledger is replaced by a value of another kind, a page comes out."""
    ledger = read_json(run_dir / "ledger.json")

    def spots(value: object, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        if not isinstance(value, dict):
            return [at]
        return [at] * bool(at) + [s for k, v in value.items() for s in spots(v, (*at, k))]

    few = ("corpus", "pretrain", "eval-finetune")
    places = [s for s in spots(ledger) if s[0] != "stages" or len(s) < 2 or s[1] in few]
    places = places[:: len(places) // 40]
    assert len(places) > 35
    for number, place in enumerate(places):
        broken = json.loads(json.dumps(ledger))
        inner = broken
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = [None, "text", 3, [1], {"a": [2]}, float("nan")][number % 6]
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "ledger.json").write_text(json.dumps(broken), encoding="utf-8")
        assert not Page(page_of(folder)).open
        text_summary(broken)


def test_stage_order_is_the_walks() -> None:
    assert ORDER == WALK_ORDER


def test_source_equal_to_target_is_shown_once(own_run: Path) -> None:
    run_dir = own_run
    ledger = read_json(run_dir / "ledger.json")
    write_json(run_dir / "ledger.json", {**ledger, "target": "en"})
    top = page_of(run_dir)
    top = top[: top.index("<nav")]
    assert top.count("English: bits per byte") == 1
    assert "share of tokens" not in top


def test_gains_and_losses_are_drawn_as_they_are_judged(own_run: Path) -> None:
    ledger = read_json(own_run / "ledger.json")
    bits = ledger["summary"]["bits_per_byte"]["prefer"]["en"]
    bits["difference"] |= {"value": 0.295, "low": 0.28, "high": 0.31}  # a tenth more than the base
    bits["value"] = ledger["summary"]["bits_per_byte"]["base"]["en"]["value"] + 0.295
    write_json(own_run / "ledger.json", ledger)
    text = page_of(own_run)
    chart = text[text.index('id="change"') : text.index('class="figures"')]
    assert chart.index("Chinese") < chart.index("English")  # apart, the target first
    assert chart.count("<circle") == chart.count('scope="row"') >= 5
    assert chart.count("strip bad") == 1
    assert "−10.0" in chart
    facts = read_json(own_run / "report.json")
    lost = [row for row in facts["changes"] if row["judged"] == "lost"]
    assert [row["key"] for row in lost] == ["bits_per_byte/en"]
    assert lost[0]["value"] == pytest.approx(-10, abs=0.01)
    assert lost[0]["low"] < lost[0]["value"] < lost[0]["high"] < 0
    for code in ("zh", "en"):
        values = [row["value"] for row in facts["changes"] if row["code"] == code]
        assert values == sorted(values, reverse=True)


def test_frontier_holds_the_models_that_nobody_beats(run_dir: Path) -> None:
    shown = section(page_of(run_dir), "trade")
    facts = read_json(run_dir / "report.json")
    best = [row["name"] for row in facts["models"] if row["frontier"]]
    assert best == ["pretrain"]  # finetune and prefer are worse in both languages
    assert shown.count('class="ring"') == 1
    assert shown.count('class="disc"') == len(MODELS) + 1  # and the quantised one
    assert "limits of the recipe" not in shown


def test_limits_of_the_recipe_are_drawn(own_run: Path) -> None:
    ledger = read_json(own_run / "ledger.json")
    write_json(own_run / "ledger.json", {**ledger, "gates": {"max_en_rise": 0.05}})
    shown = section(page_of(own_run), "trade")
    assert shown.count('class="mark"') == 1
    assert "limits of the recipe" in shown


def test_waterfall_ends_at_what_was_kept(run_dir: Path) -> None:
    shown = section(page_of(run_dir), "corpus")
    falls = read_json(run_dir / "report.json")["corpus"]
    assert [fall["code"] for fall in falls] == ["zh", "en"]
    for fall in falls:
        assert fall["read"] - sum(fall["dropped"].values()) - fall["held_out"] == fall["kept"] > 0
        assert f"{fall['kept']:,} · " in shown
    assert "too short" in shown


def test_drift_says_where_it_moved(run_dir: Path) -> None:
    shown = section(page_of(run_dir), "drift")
    assert "KL by position" in shown
    assert "<code>␣word6</code>" in shown
    assert 'class="h5"' in shown  # heat
    assert "base <code>␣&lt;b&gt;</code> (80 %), now <code>河</code> (50 %)" in shown
    assert "wiki1" in shown
    old = read_json(run_dir / "ledger.json")["summary"]["drift"]["prefer"]["held_out"]
    assert not any(key.startswith("by_") for key in old)  # the ledger stays small


def test_drift_of_an_older_version_is_drawn(own_run: Path) -> None:
    for path in own_run.glob("eval-*/scores.json"):
        scores = read_json(path)
        for found in (scores["drift"] or {}).values():
            for key in [key for key in found if key.startswith("by_")]:
                del found[key]
        write_json(path, scores)
    shown = section(page_of(own_run), "drift")
    assert "could not be read" not in shown
    assert "KL by position" not in shown
    assert "0.120" in shown


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("plain\n\ntext", "plain\n\ntext"),
        ("\n \n\nafter", "↵×3 after"),
        ("\nafter", "↵ after"),
        ("a\n\n\n\nb", "a\n↵×4\nb"),
        ("  indented", "  indented"),
        ("", ""),
    ],
)
def test_blank_lines_of_samples_become_a_sign(words: str, shown: str) -> None:
    assert re.sub("<[^>]*>", "", tidied(words)) == shown


def test_long_and_cut_samples_say_so(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, sample="很长。" * 200, stages=("base", "eval-base"))
    shown = section(page_of(run_dir), "samples")
    assert "all 600 characters" in shown
    assert shown.count("很长。" * 200) == 1
    assert "<details>" in shown


def test_money_is_told_where_a_price_is_known(own_run: Path) -> None:
    assert "Money" not in section(page_of(own_run), "cost")
    (path,) = own_run.glob("pretrain-*/record.json")
    record = read_json(path)
    record["machine"] |= {"price_per_device_hour": 2.0, "currency": "USD", "devices": 4}
    write_json(path, record)
    ledger = read_json(own_run / "ledger.json")
    ledger["stages"]["pretrain"]["seconds"] = 1800.0
    write_json(own_run / "ledger.json", ledger)
    shown = section(page_of(own_run), "cost")
    assert shown.count("USD 4.00") == 2  # half an hour of four devices; the stage and the whole
    (row,) = [r for r in read_json(own_run / "report.json")["cost"] if r["name"] == "pretrain"]
    assert row["device_hours"] == 2.0


def test_scores_without_questions_that_were_trained_on(own_run: Path) -> None:
    ledger = read_json(own_run / "ledger.json")
    task = ledger["summary"]["tasks"]["prefer"][0]
    task["untouched"] = {"touched": 20, "touched_by": {"corpus": 8, "chatdata": 15}, "n": 180,
                         "accuracy": 0.4, "difference": None}  # fmt: skip
    write_json(own_run / "ledger.json", ledger)
    shown = section(page_of(own_run), "tasks")
    assert "Questions found in training texts" in shown
    assert "40.0 %" in shown
    assert "chatdata 15, corpus 8" in shown


def test_json_holds_what_the_page_shows(run_dir: Path) -> None:
    page_of(run_dir)
    facts = read_json(run_dir / "report.json")
    ledger = read_json(run_dir / "ledger.json")
    assert facts["summary"] == ledger["summary"]
    assert {row["source"] for row in facts["licences"]} >= {"zh_wiki", "alpaca", "cmmlu"}
    assert facts["not_run"] == []
    assert facts["drift"]["prefer"]["held_out"]["by_piece"]
    assert facts["samples"][0]["texts"]["base"]
    links = [a["record"] for a in facts["artifacts"].values()]
    assert links
    assert all((run_dir / link).is_file() for link in links)


def test_the_card_says_what_the_page_says(run_dir: Path) -> None:
    from hanhua.export.card import CardFacts, render_card

    page_of(run_dir)
    facts = read_json(run_dir / "report.json")
    scores = {
        path.parent.name.split("-")[1]: read_json(path)
        for path in run_dir.glob("eval-*/scores.json")
    }
    card = render_card(CardFacts(target="zh", source="en", scores=scores))
    table = card.partition("## Gained and lost")[2].partition("\n## ")[0]
    shown = {row["key"]: row for row in facts["changes"] if "/" not in row["key"]}
    assert set(shown) == {"cmmlu", "mmlu"}
    for name, row in shown.items():
        (line,) = [line for line in table.splitlines() if f"| {name} |" in line]
        assert f"{row['value']:+.1f} points [{row['low']:+.1f}, {row['high']:+.1f}]" in line
        assert line.rstrip(" |").endswith(row["judged"])
    walked = [row for row in facts["models"] if row["name"] in MODELS]
    assert len(walked) == len(MODELS)
    for row in walked:
        assert f"{row['zh']['value']:.3f} [{row['zh']['low']:.3f}" in card


def test_quantised_models_stand_beside_the_others(run_dir: Path) -> None:
    text = page_of(run_dir)
    shown = section(text, "quantised")
    assert "4.0 MB" in shown
    assert "+0.027" in shown
    assert "int4: Chinese: too much" in shown
    assert "四比特" in section(text, "samples")
    assert "6 int4" in re.sub("<[^>]*>", "", section(text, "trade"))
