"""Where the demo's recipe is: ``hanhua demo`` runs it in ``runs/demo``."""

from __future__ import annotations

from pathlib import Path


def demo_recipe_path() -> Path:
    """The recipe of the built-in walk, beside the model and texts that it names."""
    return Path(__file__).parent / "data" / "demo.yaml"
