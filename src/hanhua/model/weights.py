"""The weights of a model folder: which files hold them, and whether they are those of its config.

transformers fills missing weights with random numbers and only warns; here the shapes of every
weight in the safetensors headers are held against the config first, which costs no memory. Where a
family's files name weights otherwise than its model does (mixtures of experts, GPT-NeoX), the names
are compared as transformers translates them, while it loads.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import PreTrainedConfig

from hanhua.core.errors import ModelError
from hanhua.core.files import read_json
from hanhua.model.ends import empty_model
from hanhua.model.supported import check_supported

INDEX = "model.safetensors.index.json"
Shape = tuple[int, ...]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, in the order of their names.

    Raises:
        ModelError: none, or one that the index names is missing.
    """
    index = folder / INDEX
    if index.exists():
        names = sorted(set(read_json(index)["weight_map"].values()))
    else:
        names = ["model.safetensors"]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        pickles = sorted(p.name for p in folder.glob("*.bin"))
        raise ModelError(
            "The weights are missing.", where=folder / missing[0],
            found=f"only {', '.join(pickles)}" if pickles else "no such file",
            fix="fetch the model again"
            + (", or save it as safetensors (pickles are not read)" if pickles else ""),
        )  # fmt: skip
    return [folder / name for name in names]


def _shapes(folder: Path) -> dict[str, tuple[Shape, str]]:
    found: dict[str, tuple[Shape, str]] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():
                    found[name] = (tuple(file.get_slice(name).get_shape()), path.name)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                "These weights do not read.", where=path, found=error,
                fix="fetch the file again; it is cut off or was changed",
            ) from error  # fmt: skip
    return found


def check_weights(folder: Path, config: PreTrainedConfig) -> bool:
    """Hold the model against what hanhua can do, and every weight's shape against the config.

    Returns:
        Whether all names could be compared. False: transformers translates some of them while it
        loads, and :func:`load_model` compares them then.

    Raises:
        ModelError: the model is of no supported kind; or naming the first weight that is missing,
            has another shape or is no part of the model.
    """
    model = empty_model(config)
    check_supported(model, config, folder / "config.json")
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found, extra = _named(_shapes(folder), expected, model)
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    may_lack = tied if getattr(config, "tie_word_embeddings", False) else set()
    missing = sorted(expected.keys() - found.keys() - may_lack)
    if missing and extra:
        return False
    if missing:
        text = f"none; {list(expected[missing[0]])} expected"
        raise _misfit("A weight is missing.", folder, missing[0], text)
    for name, (shape, file) in sorted(found.items()):
        if shape != expected[name]:
            text = f"{list(shape)}; config.json asks for {list(expected[name])}"
            raise _misfit("A weight does not fit config.json.", folder / file, name, text)
    if extra:
        name, file = extra[0]
        text = f"{len(extra)} such weights"
        raise _misfit("A weight is no part of this model.", folder / file, name, text)
    return True


def _named(
    shapes: dict[str, tuple[Shape, str]], expected: dict[str, Shape], model: Any
) -> tuple[dict[str, tuple[Shape, str]], list[tuple[str, str]]]:
    """Weights by the model's own names, and (name, file) of those that it has no name for.

    Files of a bare body leave out its prefix; masks and angles of old files are passed over.
    """
    found, extra = {}, []
    passed = [r"rotary_emb\.inv_freq$", *(model._keys_to_ignore_on_load_unexpected or ())]
    for name, entry in sorted(shapes.items()):
        names = (name, f"{model.base_model_prefix}.{name}")
        known = next((n for n in names if n in expected), None)
        if known is not None:
            found[known] = entry
        elif not any(re.search(pattern, name) for pattern in passed):
            extra.append((name, entry[1]))
    return found, extra


def _misfit(what: str, where: Path, name: str, found: str) -> ModelError:
    return ModelError(
        what, where=f"{where}: {name}", found=found,
        fix="fetch config.json and the weights again, from one revision of one model",
    )  # fmt: skip


def check_loaded(folder: Path, loaded: dict[str, Any]) -> None:
    """Refuse what transformers only warns of.

    Args:
        folder: for the message.
        loaded: its loading info (``output_loading_info=True``).

    Raises:
        ModelError: naming the first weight that is missing, misfits or is no part of the model.
    """
    for key, what in (
        ("missing_keys", "A weight is missing."),
        ("mismatched_keys", "A weight does not fit config.json."),
        ("unexpected_keys", "A weight is no part of this model."),
    ):
        names = sorted(name if isinstance(name, str) else name[0] for name in loaded[key])
        if names:
            raise _misfit(what, folder, names[0], f"{len(names)} such weights")
