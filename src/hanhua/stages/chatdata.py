"""Stage ``chatdata``: many instruction formats into one set of conversations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.chat.config import ChatDataConfig
from hanhua.core.stage import Context, Result, Stage

READ_BYTES_PER_S = 2_000_000
"""Of packed files on one core, measured on the shared sets; only for the time a plan shows."""


def run(context: Context[ChatDataConfig]) -> Result:
    """Read, clean and select the conversations."""
    from hanhua.chat.build import build_chatdata

    return build_chatdata(context)


def estimate(config: ChatDataConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes to read and seconds."""
    from hanhua.core.artifact import outside_files

    files = [path for s in config.sources for path in outside_files(s.path, "chatdata.sources")]
    size = sum(path.stat().st_size for path in files)
    return {"bytes": size, "seconds": size / READ_BYTES_PER_S}


STAGE = Stage(
    name="chatdata", version=1, title="gather the conversations", run=run, estimate=estimate
)
