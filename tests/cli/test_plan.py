"""What training costs, by the real command: no torch, ready recipes, options, bad names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hanhua.cli import app, runs
from hanhua.cli.plan import cost_rows
from hanhua.recipe import load_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
READY = sorted(RECIPES.glob("*.yaml"))
LARGE = [path for path in READY if path.name.startswith("llama") and "15m" not in path.name]
assert runs


def plan(*words: str) -> tuple[int, str]:
    """Exit code and output of ``hanhua plan``."""
    done = CliRunner().invoke(app, ["plan", *words])
    return done.exit_code, done.output


def planned(*words: str) -> dict:
    code, out = plan(*words, "--json")
    assert code == 0, out
    return json.loads(out.strip().splitlines()[-1])


def test_a_plan_loads_no_heavy_library():
    code = (
        "import sys; from hanhua.cli import app, main\n"
        f"sys.argv = ['hanhua', 'plan', {str(RECIPES / 'llama2-7b-zh.yaml')!r}, '--cost']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pyarrow', 'tokenizers'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pretrain fits" in done.stdout
    assert done.stdout.strip().endswith("heavy: []")


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_every_recipe_can_be_planned_before_its_files_are_there(path):
    found = planned(str(path), "--cost")
    recipe = load_recipe(path)
    trained = [name for name in ("pretrain", "finetune", "prefer") if getattr(recipe, name)]
    assert [row["stage"] for row in found["stages"]] == trained != []
    for row in found["stages"]:
        assert row["status"] == "run"
    if path in LARGE:
        for row in found["stages"]:
            assert row["estimate"]["fits"]
        assert any("main memory" in note for note in found["notes"])


@pytest.mark.parametrize("path", LARGE, ids=lambda path: path.stem)
def test_headers_state_the_planned_cost(path):
    head = " ".join(line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines()[:9]
                    if line.startswith("#"))  # fmt: skip
    assert "planned and not measured" in head
    cost = cost_rows(load_recipe(path))[0]["estimate"]
    said = re.search(
        r"([\d.]+) billion tokens is ([\d.e]+) FLOPs, (\d+) h on (\d+) x ([\w-]+) "
        r"\(([\d,]+) device hours\).* with (\d+) GB of each, (\d+) GB of disk, and (\d+) GB", head,
    )  # fmt: skip
    assert said, head
    hours = cost["seconds"] / 3600
    stated = [float(word.replace(",", "")) for word in said.groups() if word != said[5]]
    assert stated == pytest.approx([
        cost["tokens"] / 1e9, cost["flops"], hours, cost["devices"], hours * cost["devices"],
        cost["memory_bytes"] / 1e9, cost["disk_bytes"] / 1e9, cost["host_memory_bytes"] / 1e9,
    ], rel=0.03)  # fmt: skip
    assert said[5] == cost["accelerator"]
    assert len(LARGE) == 4


def test_options_choose_devices_and_say_what_would_fit():
    recipe = str(RECIPES / "llama2-7b-zh.yaml")
    found = planned(recipe, "--cost", "--devices", "1", "--device", "rtx-4090",
                    "--set", "machine.price_per_device_hour=0.5")  # fmt: skip
    cost = found["stages"][0]["estimate"]
    assert (cost["devices"], cost["accelerator"], cost["fits"]) == (1, "rtx-4090", False)
    assert cost["money"]["currency"] == "USD"
    few = next(p for p in cost["proposals"] if p["what"] == "fewest devices")
    assert few["devices"] >= 8
    code, text = plan(recipe, "--cost", "--devices", "1", "--device", "rtx-4090")
    assert code == 0
    assert "pretrain does not fit" in text
    assert f"--set machine.devices={few['devices']}" in text
    settings = [w for key, value in few["set"].items() for w in ("--set", f"{key}={value}")]
    again = planned(recipe, "--cost", "--device", "rtx-4090", *settings)
    assert again["stages"][0]["estimate"]["fits"]


@pytest.mark.parametrize(
    ("words", "named"),
    [(["--device", "h101"], "h100-80gb"), (["--devices", "0"], "more than 0"),
     (["--set", "machine.mfu=3"], "mfu"), (["--set", "machine.accelerater=cpu"], "accelerator")],
)  # fmt: skip
def test_bad_devices_are_named(words, named):
    done = subprocess.run(
        [str(Path(sys.executable).with_name("hanhua")), "plan",
         str(RECIPES / "llama2-7b-zh.yaml"), "--cost", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_base_is_said(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\nbase: {model: nobody/knows}\ncorpus:\n  sources:\n"
        "    - {path: t.txt, language: zh, licence: CC0}\ntokens: {}\npretrain: {}\n"
    )
    found = planned(str(path), "--cost")
    assert "memory" not in found["stages"][0]["estimate"]
    assert found["notes"][0].startswith("the shapes of nobody/knows are not known")
    config = {"model_type": "deepseek_v3", "hidden_size": 64, "n_routed_experts": 8}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "config.json").write_text(json.dumps(config))
    found = planned(str(path), "--cost", "--set", f"base.model={tmp_path / 'deep'}")
    assert "memory" not in found["stages"][0]["estimate"]
    assert "a mixture of experts of a kind that plans don't count" in found["notes"][0]
    assert "folder with its config.json" not in found["notes"][0]


def test_of_a_mixture_memory_is_of_all_and_time_of_what_a_token_meets(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\nbase: {model: mistralai/Mixtral-8x7B-v0.1}\ncorpus:\n  sources:\n"
        "    - {path: t.txt, language: zh, licence: CC0}\ntokens: {budget_tokens: 1000000}\n"
        "pretrain: {}\n"
    )
    of = {}
    for lora in ("null", "{rank: 64}"):
        found = planned(str(path), "--cost", "--device", "h100-80gb", "--devices", "8",
                        "--set", f"pretrain.lora={lora}")  # fmt: skip
        of[lora] = found["stages"][0]["estimate"]
        note = next(note for note in found["notes"] if "mixture of experts" in note)
        assert "46,702,792,704" in note
        assert "12,879,925,248" in note
    whole, adapted = of["null"], of["{rank: 64}"]
    assert whole["active_parameters"] == 12_879_925_248
    assert 5.9 < whole["flops"] / whole["tokens"] / 12.88e9 < 6.7
    assert whole["memory"]["optimizer_bytes"] == 46_702_792_704
    assert 0.4e9 < adapted["trained_parameters"] < 0.5e9
    assert not whole["fits"]
    kinds = {proposal["what"] for proposal in whole["proposals"]}
    assert "lora" in kinds
    assert "lora, 4 bits" not in kinds


def test_what_is_planned_for_changes_no_fingerprint(tmp_path):
    (tmp_path / "t.txt").write_text("文字\n")
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\nbase: {model: nobody/knows}\ncorpus:\n  sources:\n"
        "    - {path: t.txt, language: zh, licence: CC0}\ntokens: {}\npretrain: {}\n"
    )
    one = planned(str(path), "--runs", str(tmp_path / "runs"))
    two = planned(str(path), "--runs", str(tmp_path / "runs"), "--devices", "8", "--device",
                  "mi300x", "--set", "machine.activation_checkpointing=full")  # fmt: skip
    assert [r["fingerprint"] for r in one["stages"]] == [r["fingerprint"] for r in two["stages"]]
    assert len(one["stages"]) >= 4


def test_a_total_names_what_it_is_of(tmp_path):
    """Not all of it is training: a corpus of terabytes takes longer than some."""
    (tmp_path / "t.txt").write_text("文字\n" * 1_500_000)
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\nbase: {model: nobody/knows}\ncorpus:\n  sources:\n"
        "    - {path: t.txt, language: zh, licence: CC0}\n"
    )
    code, out = plan(str(path), "--runs", str(tmp_path / "runs"))
    assert code == 0, out
    assert "s for corpus (a first estimate)" in out
