"""`hanhua eval` and `hanhua compare` on the tiny model: folders, an adapter, a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import hanhua.cli.compare
import hanhua.cli.eval  # noqa: F401  both add their commands
from hanhua.cli import app
from hanhua.core.errors import InputError, ModelError, StorageError, UsageError
from hanhua.eval.adapter import load_adapted
from hanhua.eval.find import find_task, find_tasks, find_texts
from hanhua.eval.forward import CausalModel
from hanhua.model.config import LoraConfig
from hanhua.model.load import load_model
from hanhua.model.lora import adapters, add_adapters
from hanhua.model.lora_files import save_adapter


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, sentences: dict[str, list[str]]) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for code in ("zh", "en"):
        lines = [json.dumps({"text": text}) for text in sentences[code][:12]]
        (folder / f"{code}.jsonl").write_text("\n".join(lines) + "\n")
    rows = [{"question": f"Tom likes {i}", "choices": ["fish", "red", "corn"], "answer": i % 3,
             "language": "en", "subject": f"s{i % 2}"} for i in range(8)]  # fmt: skip
    (folder / "worlds").mkdir()
    (folder / "worlds" / "village.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (folder / "mmlu" / "test").mkdir(parents=True)
    lines = [f"Which comes {i}?,a,b,c,d,{'ABCD'[i % 4]}" for i in range(6)]
    (folder / "mmlu" / "test" / "art_test.csv").write_text("\n".join(lines) + "\n")
    return folder


def call(*arguments: object) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def two(
    data: Path, tiny_llama: Path, expanded: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    out = tmp_path_factory.mktemp("evals")
    common = ("--tasks", "worlds,bpb,drift", "--data", data, "--base", tiny_llama, "--quiet")
    for name, model in (("a", tiny_llama), ("b", expanded)):
        call("eval", model, *common, "--out", out / name)
    return out / "a", out / "b"


def test_two_models_measured_and_compared(two: tuple[Path, Path]) -> None:
    for folder in two:
        scores = json.loads((folder / "scores.json").read_text("utf-8"))
        assert set(scores["bits_per_byte"]) == {"en", "zh"}
        assert scores["tasks"][0]["n"] == 8
        assert (folder / "items" / "village.jsonl").is_file()
        assert (folder / "samples.json").is_file()
    assert scores["drift"]["held_out"]["value"] > 0
    found = call("compare", *two)
    assert {r["claim"] for r in found["verdicts"]} == {"bits_per_byte/en", "bits_per_byte/zh", "village"}  # fmt: skip # noqa: E501
    assert all(row["paired"] and row["difference"]["smallest"] > 0 for row in found["verdicts"])
    assert found["warnings"] == []
    same = call("compare", two[0], two[0])
    assert {row["verdict"] for row in same["verdicts"]} == {"even"}
    plain = CliRunner().invoke(app, ["compare", *map(str, two)]).output
    assert "Holm-corrected" in plain
    assert "bits_per_byte/zh" in plain


def test_called_again_nothing_is_computed_and_the_bytes_stay(
    two: tuple[Path, Path], data: Path, tiny_llama: Path, expanded: Path
) -> None:
    out = two[0]
    before = {p.name: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    journals = {p: p.stat().st_mtime_ns for p in (out / "journals").iterdir()}
    sizes = {p: p.stat().st_size for p in journals}
    call("eval", tiny_llama, "--tasks", "worlds,bpb,drift", "--data", data, "--base", tiny_llama,
         "--out", out)  # fmt: skip
    assert {p.name: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert {p: p.stat().st_size for p in journals} == sizes
    with pytest.raises(StorageError, match="another model"):
        call("eval", expanded, "--data", data, "--out", out)


def test_scores_that_are_not_asked_again_are_not_lost(
    two: tuple[Path, Path], data: Path, tiny_llama: Path
) -> None:
    before = (two[0] / "scores.json").read_bytes()
    with pytest.raises(StorageError, match=r"would be lost[\s\S]*drift, worlds\n") as caught:
        call("eval", tiny_llama, "--tasks", "bpb", "--data", data, "--out", two[0])
    assert "--tasks" in str(caught.value.fix)
    assert (two[0] / "scores.json").read_bytes() == before


def test_a_text_that_is_not_there_is_said_to_be_missing(tiny_llama: Path, tmp_path: Path) -> None:
    for name in ("nowhere", "nowhere.jsonl"):
        with pytest.raises(InputError, match="No such file"):
            call("eval", tiny_llama, "--text", f"zh={tmp_path / name}", "--out", tmp_path / "out")


def test_one_text_has_no_interval(tiny_llama: Path, tmp_path: Path) -> None:
    (tmp_path / "zh.txt").write_text("小明在学校。", encoding="utf-8")
    done = CliRunner().invoke(app, ["eval", str(tiny_llama), "--text", f"zh={tmp_path / 'zh.txt'}",
                                    "--out", str(tmp_path / "out"), "--quiet"])  # fmt: skip
    assert done.exit_code == 0, done.output
    row = next(line for line in done.output.splitlines() if line.startswith("zh, bits"))
    assert "not known" in row
    assert "[" not in row


def test_what_cannot_be_measured_is_said_at_once(
    data: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "x")
    for more, told in (
        (("--tasks", "mmul", "--data", data), "There is no such task"),
        (("--tasks", "drift", "--data", data), "measured from a base"),
        (("--tasks", "mmlu"), "not known where"),
        (("--text", "nonsense"), "names no text"),
        (("--tasks", "worlds,mmlu", "--data", data, "--shots", 5), "cannot be asked so"),
        (("--tasks", "mmlu", "--data", data, "--device", "gpu"), "no such device"),
    ):
        with pytest.raises(UsageError, match=told):
            call("eval", tiny_llama, *more, *out)
    jade = tmp_path / "jade.csv"
    jade.write_text("ID,问题,违规类型,违规子类\n1,第一个问题？,甲,乙\n", "utf-8")
    for more in (("--tasks", "safety"), ("--tasks", "follow", "--safety", jade)):
        with pytest.raises(UsageError, match="go together"):
            call("eval", tiny_llama, *more, *out)
    with pytest.raises(UsageError, match="does not tell the probability"):
        call("eval", "http://127.0.0.1:9/v1", "--tasks", "bpb", *out)
    with pytest.raises(InputError, match="ledger does not read"):
        call("eval", tiny_llama, "--tasks", "mmlu", "--data", data, *out,
             "--contamination", tmp_path / "missing.json")  # fmt: skip
    assert not (tmp_path / "x").exists()


def test_answers_are_asked_judged_resumed_and_compared(
    tiny_llama: Path, expanded: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.txt.jsonl"
    plain.write_text('{"prompt": "How do I open a window?"}\n{"prompt": "怎么开窗？"}\n')
    common = (
        "--tasks", "fidelity,identity,follow,safety", "--safety", f"harmless={plain}", "--limit", 3,
        "--answer-tokens", 4, "--model-name", "Tom", "--quiet",
    )  # fmt: skip
    for name, model in (("a", tiny_llama), ("b", expanded)):
        scores = call("eval", model, *common, "--out", tmp_path / name)
        found = {(s["metric"], s["language"]): s for s in scores["answers"]["metrics"]}
        assert {"refused_harmless", "followed", "named", "same_language"} <= {m for m, _ in found}
        assert found["refused_harmless", "zh"]["n"] == 1
        assert found["followed", "en"]["n"] <= 3
    before = {p: p.read_bytes() for p in (tmp_path / "b").rglob("*") if p.is_file()}
    call("eval", expanded, *common, "--out", tmp_path / "b")
    assert {p: p.read_bytes() for p in (tmp_path / "b").rglob("*") if p.is_file()} == before
    told = call("compare", tmp_path / "a", tmp_path / "b")
    rows = {row["claim"]: row for row in told["verdicts"]}
    assert len(rows) == len(found)
    assert all(row["paired"] and row["unit"] == "share" for row in rows.values())
    row = rows["fidelity/repeats/en"]
    assert row["difference"]["n"] == found["repeats", "en"]["n"]
    assert told["warnings"] == []
    plain = CliRunner().invoke(app, ["compare", str(tmp_path / "a"), str(tmp_path / "b")]).output
    assert "follow/followed/zh" in plain


def test_a_task_is_found_by_the_first_part_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "deeper" / "agieval").mkdir(parents=True)
    found = find_task(tmp_path, "agieval_zh", {"limit": 3})
    assert found.path == str(tmp_path / "deeper" / "agieval")


def test_a_file_of_another_split_is_asked_when_it_is_named(
    tiny_llama: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "gsm8k"
    folder.mkdir()
    rows = [{"question": f"What is {i} and 1?", "answer": f"One more.\n#### {i + 1}"}
            for i in range(4)]  # fmt: skip
    file = folder / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = ("eval", tiny_llama, "--quiet", "--out", tmp_path / "out", "--tasks")
    with pytest.raises(InputError, match="of the test split") as caught:
        call(*common, "gsm8k", "--data", tmp_path)
    assert "--data FILE" in str(caught.value.fix)
    (tmp_path / "a.txt").write_text("One day Tom went to the river.")
    scores = call(*common, "gsm8k,bpb", "--data", file, "--text", f"en={tmp_path / 'a.txt'}")
    assert [task["n"] for task in scores["tasks"]] == [4]
    with pytest.raises(UsageError, match="One file"):
        find_tasks(file, ["gsm8k", "mmlu"], {})
    with pytest.raises(InputError, match="no mmlu folder"):
        call(
            "eval",
            tiny_llama,
            "--quiet",
            "--out",
            tmp_path / "m",
            "--tasks",
            "mmlu",
            "--data",
            file,
        )


def test_an_adapter_is_the_model_that_was_trained(tiny_llama: Path, tmp_path: Path) -> None:
    config = LoraConfig(rank=4, dora=True)
    model = load_model(tiny_llama)
    add_adapters(model, config, 3, torch.float32)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for _, _, adapter in adapters(model):
            adapter.B.normal_(generator=generator)
    save_adapter(model, config, tmp_path / "adapter")
    ids = torch.tensor([[1, 5, 9, 30]])
    with torch.no_grad():
        wanted = model.eval()(ids).logits
        found = load_adapted(tmp_path / "adapter", tiny_llama).model(ids).logits
        bare = load_model(tiny_llama)(ids).logits
    assert torch.allclose(found, wanted, atol=1e-4)
    assert not torch.allclose(found, bare, atol=1e-2)
    described = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(
        json.dumps(described | {"peft_type": "IA3"})
    )
    with pytest.raises(ModelError, match="kind of adapter is not read"):
        load_adapted(tmp_path / "adapter", tiny_llama)


@pytest.fixture
def server(base: CausalModel, request: pytest.FixtureRequest) -> Iterator[str]:
    """A server of the tiny model; it tells log-probabilities unless asked not to."""
    tells = getattr(request, "param", True)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

        def answer(self, value: dict[str, Any]) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def do_GET(self) -> None:
            self.answer({"data": [{"id": "tiny"}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if "messages" in asked:
                self.answer({"choices": [{"message": {"content": "hello"}}]})
                return
            ids = [base.start, *base.encode([asked["prompt"]])[0]][-100:]
            with torch.inference_mode():
                logs = base.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            told = {base.tokenizer.decode([i]): float(logs[i]) for i in range(len(logs))}
            letters = {k: v for k, v in told.items() if k.strip() in tuple("ABCD")}
            # a trained model has the letters among the likeliest
            self.answer({"choices": [{"text": "", "logprobs": {"top_logprobs": [letters or told]}
                                      if tells else None}]})  # fmt: skip

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


def test_a_served_model_is_asked_by_letter(server: str, data: Path, tmp_path: Path) -> None:
    with_login = server.replace("://", "://tom:s3cret@")
    scores = call("eval", with_login, "--tasks", "mmlu", "--data", data, "--out", tmp_path / "s",
                  "--prompt", "en=Hello", "--quiet")  # fmt: skip
    assert scores["model"] == "tiny"
    answers = call("eval", server, "--tasks", "fidelity", "--limit", 2, "--out", tmp_path / "f",
                   "--quiet")["answers"]  # fmt: skip
    assert answers["sets"] == {"fidelity": {"asked": 4, "not_asked": 0}}
    assert "stopped" not in {m["metric"] for m in answers["metrics"]}, "it doesn't tell"
    task = scores["tasks"][0]
    assert task["n"] + task.get("failed", 0) == 6
    assert task["n"] > 0
    assert json.loads((tmp_path / "s" / "samples.json").read_text())[0]["text"] == "hello"
    written = [p.read_text() for p in (tmp_path / "s").rglob("*") if p.is_file()]
    assert len(written) > 3
    assert not any("s3cret" in text for text in written)


@pytest.mark.parametrize("server", [False], indirect=True)
def test_a_server_that_tells_no_probabilities_is_named(
    server: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="tells no log-probabilities"):
        call("eval", server, "--tasks", "mmlu", "--data", data, "--out", tmp_path / "s")


def test_texts_are_found_by_the_names_of_files_and_folders(tmp_path):
    for name, text in (("zh/news.txt", "新闻"), ("zh/books.jsonl", '{"text": "书"}'),
                       ("en_web.jsonl", '{"text": "a page"}')):  # fmt: skip
        path = tmp_path / "corpora" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    (tmp_path / "en.txt").write_text("nearer", encoding="utf-8")
    two = [f"zh={tmp_path / 'corpora' / 'zh' / name}" for name in ("news.txt", "books.jsonl")]
    assert {d.text.strip() for d in find_texts(None, two, 10)["zh"]} == {"新闻", "书"}
    found = find_texts(tmp_path, [], 10)
    assert {(d.text.strip(), d.source) for d in found["zh"]} == {
        ("新闻", "news.txt"), ("书", "books.jsonl"),
    }  # fmt: skip
    assert [d.text.strip() for d in found["en"]] == ["nearer"]
