from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hanhua.core.errors import InputError
from hanhua.eval.contrast import compare_results
from hanhua.eval.published import read_results


def harness(folder: Path, right: dict[str, list[bool]], prompt: str = "Q: {{q}}", version: int = 1,
            samples: bool = True, shots: int = 5) -> Path:  # fmt: skip
    """A results folder with what lm-evaluation-harness 0.4.13 was seen to leave."""
    folder.mkdir()
    found: dict[str, Any] = {
        "results": {"mmlu": {"acc,none": 0.0, "acc_stderr,none": 0.045}},
        "group_subtasks": {"mmlu": [f"mmlu_{s}" for s in right]}, "configs": {}, "versions": {},
        "n-shot": {}, "n-samples": {}, "config": {"model_args": f"pretrained={folder.name}"},
        "lm_eval_version": "0.4.13", "groups": {}, "chat_template": None, "model_name": folder.name,
        "system_instruction": None, "max_length": 4096, "fewshot_as_multiturn": None,
    }  # fmt: skip
    for subject, answers in right.items():
        leaf = f"mmlu_{subject}"
        found["results"][leaf] = {"acc,none": sum(answers) / len(answers), "alias": subject}
        found["configs"][leaf] = {
            "task": leaf, "dataset_path": "json", "doc_to_text": prompt, "target_delimiter": " ",
            "doc_to_choice": ["A", "B"], "description": f"Questions about {subject}.\n\n",
        }  # fmt: skip
        found["versions"][leaf], found["n-shot"][leaf] = version, shots
        found["n-samples"][leaf] = {"original": 300, "effective": len(answers)}
        lines = [
            json.dumps({
                "doc_id": i, "doc": {"q": f"Is it {i}?", "answer": 0}, "target": "0",
                "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": " A"}},
                "resps": [[["-1.5", "False"]], [["-2.5", "False"]]],
                "filtered_resps": [["-1.5", "False"], ["-2.5", "False"]], "filter": "none",
                "metrics": ["acc"], "doc_hash": f"{subject}{i}", "prompt_hash": f"{prompt}{i}",
                "target_hash": "0", "acc": float(a),
            })
            for i, a in enumerate(answers)
        ]  # fmt: skip
        if samples:
            (folder / f"samples_{leaf}_2026-01-01.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "results_2026-01-01.json").write_text(json.dumps(found))
    return folder


OLD = {"law": [True, False] * 30, "art": [False] * 60}
NEW = {"law": [True] * 60, "art": [False] * 60}


def compared(new: Path, old: Path) -> dict[str, Any]:
    return compare_results(read_results(new), read_results(old))


def test_logged_samples_of_the_harness_are_paired(tmp_path: Path) -> None:
    found = compared(harness(tmp_path / "new", NEW), harness(tmp_path / "old", OLD))
    assert found["warnings"] == []
    row = found["verdicts"][0]
    assert (row["claim"], row["paired"], row["verdict"]) == ("mmlu", True, "gained")
    assert (row["difference"]["gained"], row["difference"]["lost"]) == (30, 0)
    assert row["difference"]["n"] == 120
    assert row["new_score"]["value"] == pytest.approx(0.5)
    assert {s["subject"]: s["verdict"] for s in row["by_subject"]} == {"law": "gained", "art": "even"}  # fmt: skip # noqa: E501


def gsm8k(folder: Path, stamp: str, rights: list[bool]) -> Path:
    """Results of a task with two filters, its samples, and those of one with a longer name."""
    lenient = [json.dumps({"doc_id": i, "filter": name, "exact_match": float(right)})
               for name in ("strict-match", "flexible-extract")
               for i, right in enumerate(rights if name == "strict-match" else [True] * 9)]  # fmt: skip # noqa: E501
    (folder / f"samples_gsm8k_{stamp}.jsonl").write_text("\n".join(lenient) + "\n")
    (folder / f"samples_gsm8k_cot_{stamp}.jsonl").write_text('{"no": "sample"}\n')
    found = {"results": {"gsm8k": {"exact_match,strict-match": sum(rights) / 9,
                                   "exact_match,flexible-extract": 1.0}}}  # fmt: skip
    (folder / f"results_{stamp}.json").write_text(json.dumps(found))
    return folder / f"results_{stamp}.json"


def test_samples_are_those_of_the_task_the_run_and_the_filter(tmp_path: Path) -> None:
    first = [True, False, False] * 3
    old = gsm8k(tmp_path, "2026-01-01T00-00-00.1", first)
    new = gsm8k(tmp_path, "2026-02-01T00-00-00.1", [True] * 9)
    for path, rights in ((old, first), (new, [True] * 9)):
        items = read_results(path).measured["gsm8k"].items or ()
        assert [row["right"] for row in items] == rights


def test_without_samples_the_interval_is_wider_and_it_is_said(tmp_path: Path) -> None:
    paired = compared(harness(tmp_path / "a", NEW), harness(tmp_path / "b", OLD))
    alone = compared(harness(tmp_path / "c", NEW, samples=False), harness(tmp_path / "d", OLD))
    a, b = (found["verdicts"][0]["difference"] for found in (paired, alone))
    assert a["value"] == pytest.approx(b["value"])
    assert b["high"] - b["low"] > a["high"] - a["low"]
    assert alone["verdicts"][0]["paired"] is False
    assert any("no items to pair" in w for w in alone["warnings"])


def test_another_setting_of_the_whole_run_is_warned_of(tmp_path: Path) -> None:
    old, new = harness(tmp_path / "old", OLD), harness(tmp_path / "new", NEW)
    path = next(new.glob("results_*.json"))
    found = json.loads(path.read_text())
    changed = {"chat_template": "{{ x }}", "chat_template_sha": "f00", "max_length": 512}
    path.write_text(json.dumps(found | changed))
    told = " | ".join(compared(new, old)["warnings"])
    assert "chat template differs: None and f00" in told
    assert "max_length differs: 4096 and 512" in told


def test_what_differs_is_warned_of(tmp_path: Path) -> None:
    old = harness(tmp_path / "old", OLD)
    new = harness(
        tmp_path / "new", {"law": NEW["law"][:40]}, prompt="问：{{q}}", version=2, shots=0
    )
    told = " | ".join(compared(new, old)["warnings"])
    for part in ("version differs: 1 and 2", "shots differs: 5 and 0", "prompt differs",
                 "n differs: 120 and 40", "only 40 items are in both", "40 of 40 prompts differ"):  # fmt: skip # noqa: E501
        assert part in told


def test_a_summary_of_opencompass_has_no_interval_and_so_no_verdict(tmp_path: Path) -> None:
    for name, value in (("a", "50.10"), ("b", "61.00")):
        (tmp_path / f"{name}.csv").write_text(
            "dataset,version,metric,mode,model-x\n"
            f"cmmlu,4d8f,accuracy,gen,{value}\nbbh,-,-,-,-\n", encoding="utf-8"
        )  # fmt: skip
    found = compared(tmp_path / "b.csv", tmp_path / "a.csv")
    row = found["verdicts"][0]
    assert row["claim"] == "cmmlu"
    assert row["difference"]["value"] == pytest.approx(0.109)
    assert row["difference"]["low"] is None
    assert row["verdict"] is None
    details = {"accuracy": 50.0, "details": [{"correct": i % 2 == 0} for i in range(40)]}
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "gsm8k.json").write_text(json.dumps(details))
    assert len(read_results(tmp_path / "x" / "gsm8k.json").measured["gsm8k"].items or ()) == 40


def opencompass(folder: Path, rights: list[bool], more: str = "") -> Path:
    """A run's folder as OpenCompass 0.4 leaves it with details dumped."""
    percent = 100 * sum(rights) / len(rights)
    results = folder / "results" / "llama-zh"
    results.mkdir(parents=True)
    details: dict[str, Any] = {"type": "PPL"} | {
        str(i): {"predictions": "A", "references": "AB"[not right], "correct": right}
        for i, right in enumerate(rights)
    }  # fmt: skip
    found = {"accuracy": percent, "details": details, "type": "PPL", "correct_bpb": 91.5}
    (results / "cmmlu-law.json").write_text(json.dumps(found))
    (folder / "summary").mkdir()
    (folder / "summary" / "summary_20240101_000000.csv").write_text(
        "dataset,version,metric,mode,llama-zh\n"
        f"cmmlu-law,4d8f2a,accuracy,ppl,{percent:.2f}\ncmmlu-law,4d8f2a,correct_bpb,ppl,91.50\n"
        "bbh,-,-,-,-\n" + more
    )
    return folder


def test_a_run_of_opencompass_is_paired_where_it_dumped_details(tmp_path: Path) -> None:
    old = opencompass(tmp_path / "old", [True, False, False] * 20)
    new = opencompass(tmp_path / "new", [True] * 60, "cmmlu,-,naive_average,ppl,31.07\n")
    found = compared(new, old)
    row = found["verdicts"][0]
    assert (row["claim"], row["paired"], row["verdict"]) == ("cmmlu-law", True, "gained")
    assert (row["difference"]["gained"], row["difference"]["lost"]) == (40, 0)
    assert row["new_score"] == {"value": 1.0, "n": 60, "stderr": 0.0}
    assert found["only_new"] == ["cmmlu"]
    for one in (new / "results" / "llama-zh", new / "results" / "llama-zh" / "cmmlu-law.json"):
        assert len(read_results(one).measured["cmmlu-law"].items or ()) == 60
    assert read_results(tmp_path).path.parents[1] in (old, new)


def test_details_that_do_not_say_what_was_right_are_no_items(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for percent, correct, n in (
        (50.0, None, 0), (50.0, "A", 0), (50.0, [True, False], 2), (100.0, True, 2),
        (50.0, True, 0),  # the number was made from something else
    ):  # fmt: skip
        details = {str(i): {"pred": "A"} | ({} if correct is None else {"correct": correct})
                   for i in range(2)}  # fmt: skip
        path.write_text(json.dumps({"accuracy": percent, "details": details}))
        items = read_results(path).measured["x"].items or ()
        assert len(items) == n
        assert all(row.get("score", 1.0) == (0.5 if isinstance(correct, list) else 1.0)
                   for row in items)  # fmt: skip


RIGHTS = [True, False, False, True]
REAL: dict[str, Any] = {
    # AccEvaluator, options ranked by perplexity
    "cmmlu-agronomy": {"type": "PPL"} | {
        str(i): {"origin_prediction": {"origin_prompt": f"q{i}", "A": {"PPL": 16.4, "BPB": 73.4}},
                 "predictions": "A", "references": "AB"[not right], "correct": right}
        for i, right in enumerate(RIGHTS)
    },
    # AccwithDetailsEvaluator, options ranked by perplexity
    "cmmlu-anatomy": [
        {"example_abbr": f"cmmlu-anatomy_test_{i}", "pred": ["A"], "answer": ["AB"[not right]],
         "prompt": [f"q{i}"], "correct": [right]} for i, right in enumerate(RIGHTS)
    ],
    # AccwithDetailsEvaluator, generated
    "lukaemon_mmlu_anatomy": [
        {"example_abbr": f"lukaemon_mmlu_anatomy_test_{i}", "prompt": [f"q{i}"], "pred": ["A"],
         "refr": ["AB"[not right]], "is_correct": [right]} for i, right in enumerate(RIGHTS)
    ],
    # AccEvaluator, generated: the answer and the reference alone
    "lukaemon_mmlu_astronomy": {"type": "GEN"} | {
        str(i): {"prompt": f"q{i}", "origin_prediction": "A thing", "predictions": "A",
                 "references": "AB"[not right]} for i, right in enumerate(RIGHTS)
    },
}  # fmt: skip
"""The forms in which OpenCompass 0.5.4 was seen to leave details."""


def test_every_form_of_details_that_opencompass_leaves_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "m"
    folder.mkdir(parents=True)
    for name, details in REAL.items():
        (folder / f"{name}.json").write_text(json.dumps({"accuracy": 50.0, "details": details}))
    (folder / "failed.json").write_text(json.dumps({"error": "no predictions"}))
    measured = read_results(folder).measured
    assert set(measured) == set(REAL)
    for one in measured.values():
        assert [row["right"] for row in one.items or ()] == RIGHTS
        assert len({row["prompt"] for row in one.items or ()}) == 4
    for name in REAL:
        (folder / f"{name}.json").unlink()
    with pytest.raises(InputError, match="No evaluation here has succeeded"):
        read_results(folder)


def test_the_main_metric_of_a_set_or_group_is_the_one_that_opencompass_takes(
    tmp_path: Path,
) -> None:
    (tmp_path / "s.csv").write_text(
        "dataset,version,metric,mode,m\n"
        "two,-,correct_bpb,ppl,71.20\ntwo,-,accuracy,ppl,20.83\ntwo,-,naive_average,ppl,20.83\n"
        "mixed,-,naive_average,gen,31.07\nmixed,-,pass@1,gen,12.00\n"
        "ifeval,3321a3,Prompt-level-strict-accuracy,gen,9.98\n"
        "ifeval,3321a3,Inst-level-strict-accuracy,gen,20.50\n"
        "gsm8k,1d7fe4,accuracy (4 runs average),gen,40.00\n"
    )
    measured = read_results(tmp_path / "s.csv").measured
    assert {name: (one.facts["metric"], one.value) for name, one in measured.items()} == {
        "two": ("accuracy", pytest.approx(0.2083)),
        "mixed": ("naive_average", pytest.approx(0.3107)),
        "ifeval": ("Prompt-level-strict-accuracy", pytest.approx(0.0998)),
        "gsm8k": ("accuracy (4 runs average)", pytest.approx(0.4)),
    }
    one = tmp_path / "results" / "m" / "x.json"
    one.parent.mkdir(parents=True)
    one.write_text(json.dumps({"bp": 1.0, "type": "GEN", "pass@1": 12.5}))
    assert read_results(one).measured["x"].value == pytest.approx(0.125)


def test_a_share_of_probability_stays_one(tmp_path: Path) -> None:
    for name, scores in (("a", [0.25, 0.5]), ("b", [0.75, 1.0])):
        (tmp_path / name).mkdir()
        lines = [
            json.dumps({"doc_id": i, "acc": s, "filter": "none"}) for i, s in enumerate(scores)
        ]
        (tmp_path / name / "samples_truthfulqa_mc2_2026.jsonl").write_text("\n".join(lines))
        found = {"results": {"truthfulqa_mc2": {"acc,none": sum(scores) / 2}}}
        (tmp_path / name / "results_2026.json").write_text(json.dumps(found))
    row = compared(tmp_path / "b", tmp_path / "a")["verdicts"][0]
    assert row["paired"]
    assert row["difference"]["value"] == pytest.approx(0.5)
    with pytest.raises(InputError, match="several models") as error:
        read_results(tmp_path)
    assert "a, b" in str(error.value.found)


def test_two_tools_are_compared_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "oc.csv").write_text("dataset,version,metric,mode,m\nmmlu,1,accuracy,ppl,55\n")
    found = compared(tmp_path / "oc.csv", harness(tmp_path / "old", OLD))
    assert any("measured by two tools" in w for w in found["warnings"])


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', '{"results": 3}'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError):
        read_results(tmp_path / "x.json")
    with pytest.raises(InputError, match="no scores here"):
        read_results(tmp_path)
