"""All kinds of stories, in a fixed order."""

from __future__ import annotations

from hanhua.demo import scenes_home, scenes_market, scenes_nature, scenes_people
from hanhua.demo.scene import Scene

SCENES: tuple[Scene, ...] = (
    *scenes_home.SCENES, *scenes_market.SCENES, *scenes_people.SCENES, *scenes_nature.SCENES,
)  # fmt: skip
