"""The code of the sets' own repositories on a job: eval_originals.py JOB.json OUT.json.

It is imported from checkouts of haonan-li/CMMLU, hendrycks/test, hkust-nlp/ceval and
ruixiangcui/AGIEval and run as it is, by an environment with torch, transformers and pandas. What
it would do elsewhere is done here by stand-ins: a GPU is the processor, the API that MMLU's asks
is a local model that tells the log-probability of any token, and what only other parts of it need
(an encoder to download, adapters, an API's client) is left empty.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

LETTERS = "ABCD"
Items = dict[str, list[dict[str, Any]]]


def stand_in(name: str, **members: Any) -> None:
    """A module by that name with these members alone."""
    module = ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module


def agieval_code(originals: Path) -> Any:
    """AGIEval's modules ``dataset_loader``, ``post_process`` and ``evaluation``.

    Its token counter, which only cuts long examples, counts none.
    """
    known = sys.modules.get("tiktoken")
    counter = SimpleNamespace(encode=lambda text: [])
    stand_in("tiktoken", get_encoding=lambda name: counter, encoding_for_model=lambda name: counter)
    sys.path.insert(0, str(originals / "AGIEval"))
    try:
        names = ("dataset_loader", "post_process", "evaluation")
        return SimpleNamespace(**{n: importlib.import_module(f"src.{n}") for n in names})
    finally:
        sys.path.pop(0)
        del sys.modules["tiktoken"]
        if known:
            sys.modules["tiktoken"] = known


class Scorer:
    """A causal model that tells the log-probabilities of the next token."""

    def __init__(self, folder: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.ids: list[int] = []
        self.logs: Any = None

    def encode(self, text: str, bos: bool = True, eos: bool = False) -> list[int]:
        """Ids as LLaMA's own tokenizer gives them."""
        found = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [self.tokenizer.bos_token_id, *found] if bos else found

    def next(self, ids: Sequence[int]) -> Any:
        """Logits of the token behind these; ``logs`` keeps their log-probabilities."""
        self.ids = list(map(int, ids))
        with self.torch.inference_mode():
            logits = self.model(self.torch.tensor([self.ids]), use_cache=False).logits[0, -1:]
        self.logs = logits[0].double().log_softmax(-1)
        return logits

    def told(self, prompt: str, options: Sequence[str], ids: Sequence[int], right: bool) -> Any:
        """An item, of the last prompt that was asked."""
        return {"asked": [prompt + option for option in options], "acc": float(right),
                "logprobs": [float(self.logs[i]) for i in ids]}  # fmt: skip


def cmmlu(scorer: Scorer, root: Path, data: Path, shots: int) -> Items:
    """CMMLU's ``eval`` of causal models, subject by subject."""
    stand_in("peft", PeftModel=None)
    sys.path.insert(0, str(root / "src"))
    own = importlib.import_module("hf_causal_model")
    return {path.stem: cmmlu_subject(own, scorer, data, path.name, shots)
            for path in sorted((data / "test").glob("*.csv"))}  # fmt: skip


def cmmlu_subject(
    own: Any, scorer: Scorer, data: Path, file: str, shots: int
) -> list[dict[str, Any]]:
    """One of its subjects."""
    import pandas

    dev, test = (
        pandas.read_csv(data / split / file, header=0, index_col=0) for split in ("dev", "test")
    )
    ids = [scorer.tokenizer.convert_tokens_to_ids(letter) for letter in LETTERS]
    asked: list[dict[str, Any]] = []

    class Inputs(dict):  # type: ignore[type-arg]
        def to(self, device: str) -> Inputs:
            return self

    class Tokenizer:
        def __call__(self, text: str, **_: Any) -> Inputs:
            asked.append({"prompt": text})
            return Inputs(input_ids=scorer.encode(text))

        def encode(self, text: str) -> list[int]:
            return scorer.encode(text)

        convert_tokens_to_ids = staticmethod(scorer.tokenizer.convert_tokens_to_ids)

    def model(input_ids: Sequence[int]) -> Any:
        logits = scorer.next(input_ids)
        asked[-1] = scorer.told(asked[-1]["prompt"], LETTERS, ids, False)
        return SimpleNamespace(logits=logits[None])

    subject = file.removesuffix(".csv")
    _, choices, _ = own.eval(model, Tokenizer(), subject, dev, test, shots, 100_000, False)
    rights = [c == a for c, a in zip(choices, test.iloc[:, -1], strict=True)]
    return [a | {"acc": float(r)} for a, r in zip(asked, rights, strict=True)]


def mmlu(scorer: Scorer, root: Path, data: Path, shots: int) -> Items:
    """MMLU's ``eval`` of an API's model, subject by subject."""
    import pandas

    asked: list[dict[str, Any]] = []
    options = [f" {letter}" for letter in LETTERS]

    def create(prompt: str, **_: Any) -> Any:
        # Behind a text, as the API tells it: " A" is one token there.
        ids = [scorer.encode(f"Answer:{o}", bos=False)[-1] for o in options]
        scorer.next(scorer.encode(prompt))
        asked.append(scorer.told(prompt, options, ids, False))
        told = dict(zip(options, asked[-1]["logprobs"], strict=True))
        return {"choices": [{"logprobs": {"top_logprobs": [told]}}]}

    stand_in("openai", Completion=SimpleNamespace(create=create))
    stand_in("crop", crop=lambda text: text)
    sys.path.insert(0, str(root))
    own = importlib.import_module("evaluate")
    found: Items = {}
    for path in sorted((data / "test").glob("*_test.csv")):
        subject = path.stem.removesuffix("_test")
        dev = pandas.read_csv(data / "dev" / f"{subject}_dev.csv", header=None)[:shots]
        test = pandas.read_csv(path, header=None)
        asked.clear()
        rights, _, _ = own.eval(SimpleNamespace(ntrain=shots), subject, "", dev, test)
        found[subject] = [a | {"acc": float(r)} for a, r in zip(asked, rights, strict=True)]
    return found


def ceval(scorer: Scorer, root: Path, data: Path, shots: int) -> Items:
    """C-Eval's evaluator of LLaMA models, given the subjects' Chinese names."""
    import pandas

    scorer.torch.Tensor.cuda = lambda self: self  # type: ignore[method-assign]
    sys.path.insert(0, str(root / "code" / "evaluator_series"))
    own = importlib.import_module("evaluators.llama")
    names = json.loads((root / "subject_mapping.json").read_text(encoding="utf-8"))
    ids = [scorer.encode(letter, bos=False)[0] for letter in LETTERS]
    asked: list[dict[str, Any]] = []

    class Tokenizer:
        pad_id = 0

        def encode(self, text: str, bos: bool, eos: bool) -> list[int]:
            if bos:
                asked.append({"prompt": text})
            return scorer.encode(text, bos)

    class Model:
        params = SimpleNamespace(max_seq_len=100_000)

        def forward(self, tokens: Any, start: int) -> Any:
            logits = scorer.next(tokens[0].tolist())
            asked[-1] |= scorer.told(asked[-1].pop("prompt"), LETTERS, ids, False)
            return logits

    found: Items = {}
    for path in sorted((data / "val").glob("*_val.csv")):
        subject = path.stem.removesuffix("_val")
        dev = pandas.read_csv(data / "dev" / f"{subject}_dev.csv")
        test = pandas.read_csv(path)
        asked.clear()
        judge = own.LLaMA_Evaluator(Model(), Tokenizer(), list(LETTERS), shots)
        with tempfile.TemporaryDirectory() as folder:
            judge.eval_subject(names[subject][1], test, dev, True, folder)
        found[subject] = [a | {"acc": float(r)}
                          for a, r in zip(asked, test["correctness"], strict=True)]  # fmt: skip
    return found


SETS: dict[str, tuple[str, Callable[[Scorer, Path, Path, int], Items]]] = {
    "cmmlu": ("CMMLU", cmmlu), "mmlu": ("test", mmlu), "ceval": ("ceval", ceval),
}  # fmt: skip
"""name -> the checkout's folder, and what runs it"""


def flat(name: str, items: Items) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Items as the harness's are written: by task and subject, with their numbers."""
    for subject, rows in items.items():
        yield f"{name}__{subject}", [row | {"doc_id": i} for i, row in enumerate(rows)]


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    scorer = Scorer(job["model"])
    items: Items = {}
    for one in job["sets"]:
        folder, run = SETS[one["name"]]
        root = Path(job["originals"]) / folder
        items |= flat(one["name"], run(scorer, root, Path(one["path"]), one["shots"]))
    Path(sys.argv[2]).write_text(json.dumps({"items": items}), encoding="utf-8")


if __name__ == "__main__":
    main()
