"""What the command ``eval`` measures, from its options."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanhua.core.errors import UsageError

if TYPE_CHECKING:
    from hanhua.eval.answers_config import AskedConfig
    from hanhua.eval.evaluate import Evaluation

JOURNALS = "journals"
KINDS = ("harmful", "harmless")


def setting_of(
    names: list[str], options: dict[str, Any], out: Path, identity: str, base_identity: str
) -> Evaluation:
    """What is measured, on what.

    Args:
        names: of tasks, as `parse_tasks` gave them.
        options: of the command, by name.
        out: the folder to write.
        identity: what tells the model from any other.
        base_identity: the same of the base that drift is measured from, or empty.

    Raises:
        InputError, UsageError: for what is not there, or cannot be asked so.
    """
    from hanhua.eval.config import BitsPerByteConfig, DriftConfig, EvalConfig
    from hanhua.eval.contaminated import read_accounts
    from hanhua.eval.evaluate import Evaluation
    from hanhua.eval.find import ANSWER_SETS, TEXT_MEASURES, find_tasks, find_texts

    asked = {"limit": options["limit"], "shots": options["shots"]}
    judged = [name for name in names if name in ANSWER_SETS]
    tasks = [name for name in names if name not in (*TEXT_MEASURES, *ANSWER_SETS)]
    found = find_tasks(options["data"], tasks, asked)
    texts = {}
    if set(names) & set(TEXT_MEASURES):
        texts = find_texts(options["data"], options["text"], options["docs"])
        if "bpb" not in names:
            texts = {code: docs for code, docs in texts.items() if code == options["source"]}
    config = EvalConfig(
        bits_per_byte=BitsPerByteConfig(max_docs=options["docs"]),
        drift=DriftConfig() if "drift" in names else None,
        tasks=tuple(found), prompts=_prompts(options["prompt"]), gates={},
        answers=_answers(judged, options) if judged else None,
    )  # fmt: skip
    return Evaluation(
        config=config, documents=texts, source=options["source"], seed=options["seed"],
        device=device_of(options["device"]), progress=options["progress"], journals=out / JOURNALS,
        identity=identity, base_identity=base_identity,
        contamination=read_accounts(options["contamination"]),
    )  # fmt: skip


def _answers(sets: Sequence[str], options: Mapping[str, Any]) -> AskedConfig:
    """The recipe's section ``eval.answers``, from the command's options."""
    from hanhua.eval.answers_config import AskedConfig
    from hanhua.recipe import section_from

    given = {
        "sets": list(sets), "safety": [_safety(one) for one in options["safety"]],
        "name": options["model_name"], "maker": options["model_maker"], "limit": options["limit"],
        "max_new_tokens": options["answer_tokens"],
    }  # fmt: skip
    pairs = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items()]
    return section_from(AskedConfig, "eval.answers", pairs)


def _safety(given: str) -> dict[str, str]:
    """``FILE``, or ``harmful=FILE`` of a file that does not say it."""
    kind, is_, path = given.partition("=")
    return {"kind": kind, "path": path} if is_ and kind in KINDS else {"path": given}


def _prompts(given: list[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for one in given:
        language, is_, text = one.partition("=")
        if not is_ or not text:
            raise UsageError("This is no prompt.", where="--prompt", found=one,
                             fix="write language=TEXT, e.g. --prompt zh=你好")  # fmt: skip
        found[language] = (*found.get(language, ()), text)
    return found


def device_of(asked: str) -> str:
    """The device that --device names.

    Raises:
        UsageError: when it is not here.
    """
    import torch

    there = torch.cuda.is_available()
    if asked == "auto":
        return "cuda" if there else "cpu"
    number = re.fullmatch(r"cuda(?::(\d+))?", asked)
    if asked != "cpu" and not (
        there and number and int(number[1] or 0) < torch.cuda.device_count()
    ):
        raise UsageError(
            "There is no such device.", where="--device", found=asked,
            fix="choose auto, cpu" + (" or cuda" if there else "; no GPU is found here"),
        )  # fmt: skip
    return asked
