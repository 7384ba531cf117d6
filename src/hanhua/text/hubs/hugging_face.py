"""Datasets on Hugging Face, streamed by the hub's own library: no disk, no waiting.

``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` are heeded as that library heeds them: when it is imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

from hanhua.core.errors import DependencyError, InputError
from hanhua.text.readers.values import Values

DEFAULT_SPLIT = "train"


def stream_dataset(
    name: str, config: str | None, split: str | None, revision: str | None,
    columns: frozenset[str] | None,
) -> Values:  # fmt: skip
    """Read a dataset row by row.

    Args:
        name: owner/name.
        config: the subset; None for the default.
        split: None for train.
        revision: a commit, branch or tag; None for the newest.
        columns: the only ones needed; None for all.

    Returns:
        (``name:row``, mapping) in the dataset's order.

    Raises:
        InputError: when it cannot be reached, has no such part, or breaks off.
        DependencyError: without the ``datasets`` extra.
    """
    if importlib.util.find_spec("datasets") is None:
        raise DependencyError(
            "Datasets on Hugging Face need a package that is not installed.",
            found="no datasets", fix='pip install "hanhua[datasets]"',
        )  # fmt: skip
    return _values(name, _rows(name, config, split or DEFAULT_SPLIT, revision, columns))


def commit_of(name: str, revision: str | None) -> str:
    """The commit that a revision of a dataset stands for now.

    Raises:
        InputError: when the hub cannot be reached or has no such dataset.
    """
    from huggingface_hub import HfApi

    try:
        found = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
        return str(found.dataset_info(name, revision=revision).sha)
    except Exception as error:  # the hub's client raises from five libraries
        raise _unreachable(name, error) from error


def _rows(
    name: str, config: str | None, split: str, revision: str | None,
    columns: frozenset[str] | None,
) -> Iterator[Any]:  # fmt: skip
    datasets: Any = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(name, config, split=split, revision=revision, streaming=True)
        known = rows.column_names
        if columns is not None and known:
            outer = {column.split(".")[0] for column in columns}
            wanted = [column for column in known if column in columns or column in outer]
            rows = rows.select_columns(wanted) if wanted else rows
        return iter(rows)
    except Exception as error:  # as above, and pyarrow's
        raise _unreachable(name, error) from error


def _values(name: str, rows: Iterator[Any]) -> Values:
    row, short = 0, name.rpartition("/")[2]
    while True:
        try:
            value = next(rows, None)
        except Exception as error:
            raise InputError(
                "This dataset broke off while it was read.", where=f"hf:{name}, row {row + 1}",
                found=_first_line(error),
                fix="run the same command again, or set `on_error: skip` to keep what comes before",
            ) from error  # fmt: skip
        if value is None:
            return
        row += 1
        yield f"{short}:{row}", value


def _unreachable(name: str, error: Exception) -> InputError:
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    return InputError(
        "This dataset could not be read from Hugging Face.", where=f"hf:{name}",
        found=_first_line(error),
        fix="check the name, the config, the split and the network; a mirror is set with "
        "HF_ENDPOINT, a downloaded folder can be given as a path"
        + ("; HF_HUB_OFFLINE is set" if offline else ""),
    )  # fmt: skip


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
