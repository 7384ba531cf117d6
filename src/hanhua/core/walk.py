"""Plan a walk: which stages are done, and what forces the others to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanhua.core.artifact import RECORD, Artifact, Digests, fingerprint, identity
from hanhua.core.config import Machine
from hanhua.core.errors import UsageError
from hanhua.core.stage import Node

FOLDER_DIGITS = 12
"""Hex digits of the fingerprint in a folder's name; the record holds all 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Everything that decides what a run computes, and where it runs.

    Args:
        name: the run's name.
        nodes: the stages in order.
        seed, target, source: part of every fingerprint.
        machine: part of none.
        run_dir: where artifacts and the ledger go.
    """

    name: str
    nodes: Sequence[Node]
    seed: int
    target: str
    source: str
    machine: Machine
    run_dir: Path

    @property
    def context(self) -> dict[str, Any]:
        """What every fingerprint includes besides section and inputs."""
        return {"seed": self.seed, "source": self.source, "target": self.target}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One planned stage."""

    node: Node
    fingerprint: str
    identity: Mapping[str, Any]
    path: Path
    done: bool
    why: tuple[str, ...]
    """what forces the run, empty when done"""

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.node.stage.name


def plan(walk: Walk, until: str | None = None) -> list[Step]:
    """Decide for every stage whether its artifact is there already, and if not, why.

    Raises:
        UsageError: when ``until`` is no stage of this walk.
        InputError: when a file that the recipe names is missing, or what else a stage refuses
            beforehand.
    """
    names = [node.stage.name for node in walk.nodes]
    if until is not None and until not in names:
        raise UsageError(
            "This recipe has no such stage.", where="--until", found=until,
            fix=f"choose one of: {', '.join(names)}",
        )  # fmt: skip
    digests = Digests(walk.run_dir / ".digests.json")
    steps: dict[str, Step] = {}
    for node in walk.nodes:
        steps[node.stage.name] = _step(walk, node, steps, digests)
        if node.stage.name == until:
            break
    if walk.run_dir.exists():
        digests.save()
    return list(steps.values())


def _step(walk: Walk, node: Node, before: Mapping[str, Step], digests: Digests) -> Step:
    stage = node.stage
    # eval-base, eval-expand … share one section: messages name a key that the recipe has
    means = identity(node.config, digests, stage.name.partition("-")[0])
    inputs = {role: before[name].fingerprint for role, name in node.inputs.items()}
    print_ = fingerprint(stage.name, stage.version, means, inputs, walk.context)
    path = walk.run_dir / f"{stage.name}-{print_[:FOLDER_DIGITS]}"
    done = (path / RECORD).is_file()
    if not done and stage.refuse is not None:
        stage.refuse(node.config)
    # one artifact may fill two roles
    why = () if done else tuple(dict.fromkeys(_why(walk, node, means, before)))
    return Step(node=node, fingerprint=print_, identity=means, path=path, done=done, why=why)


def _why(
    walk: Walk, node: Node, means: Mapping[str, Any], before: Mapping[str, Step]
) -> Iterator[str]:
    """Name the fields that differ from the newest artifact of the same stage."""
    old = _newest(walk.run_dir, node.stage.name)
    if old is None:
        yield "not run yet"
        return
    if old.record.get("version") != node.stage.version:
        yield f"stage version {old.record.get('version')} → {node.stage.version}"
    then, now = _flat(old.record.get("identity", {})), _flat(means)
    for key in sorted(then.keys() | now.keys()):
        if then.get(key) != now.get(key):
            yield f"{key}: {_show(then.get(key))} → {_show(now.get(key))}"
    for key, value in walk.context.items():
        if old.record.get("context", {}).get(key) != value:
            yield f"{key}: {old.record.get('context', {}).get(key)} → {value}"
    for role, name in node.inputs.items():
        was = old.record.get("inputs", {}).get(role, {})
        if was.get("fingerprint") != before[name].fingerprint:
            yield f"its input {name} is another"


def _newest(run_dir: Path, stage: str) -> Artifact | None:
    found = [
        path for path in run_dir.glob(f"{stage}-*/{RECORD}")
        if path.parent.name[: -FOLDER_DIGITS - 1] == stage
    ]  # fmt: skip
    found.sort(key=lambda path: path.stat().st_mtime)
    return Artifact.load(found[-1].parent) if found else None


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        items = [(f"{prefix}.{key}" if prefix else str(key), v) for key, v in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(f"{prefix}[{i}]", v) for i, v in enumerate(value)]
    else:
        return {prefix: value}
    return {k: v for name, item in items for k, v in _flat(item, name).items()}


def _show(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "…"
