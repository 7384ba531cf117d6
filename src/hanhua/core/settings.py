"""YAML as settings: numbers such as ``1e-4``, no key twice, and ``section.key=value`` of --set."""

from __future__ import annotations

import re
from typing import Any

import yaml

from hanhua.core.errors import RecipeError


class Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e-4 as a number and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping; raises where a key comes twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_NUMBER = re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)$")
Loader.yaml_implicit_resolvers = {
    key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789"))


def override(data: dict[str, Any], setting: str) -> str:
    """Put one ``section.key=value`` into the data.

    Args:
        data: changed in place.
        setting: as given to --set; its value is read as YAML.

    Returns:
        The dotted key.

    Raises:
        RecipeError: when it is none, or there is no such place.
    """
    key, sign, raw = setting.partition("=")
    if not sign or not key:
        raise RecipeError(
            "--set wants section.key=value.", where="--set", found=setting,
            fix="for example --set pretrain.learning_rate=1e-4",
        )  # fmt: skip
    try:
        value = yaml.load(raw, Loader=Loader)
    except yaml.YAMLError as error:
        raise RecipeError("The value is not YAML.", where=f"--set {key}", found=raw) from error
    *parents, last = key.split(".")
    place: Any = data
    for name in parents:
        place = _child(place, name, key)
    if isinstance(place, list):
        place[_index(place, last, key)] = value
    else:
        place[last] = value
    return key


def _child(place: Any, name: str, key: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, name, key)]
    if place.get(name) is None:
        place[name] = {}
    if not isinstance(place[name], (dict, list)):
        raise RecipeError(
            f"{name} holds a value, not a section.", where=f"--set {key}", found=place[name]
        )
    return place[name]


def _index(place: list[Any], name: str, key: str) -> int:
    if not name.isdigit() or int(name) >= len(place):
        raise RecipeError(
            "The list has no such item.", where=f"--set {key}", found=name,
            fix=f"use a number from 0 to {len(place) - 1}",
        )  # fmt: skip
    return int(name)
