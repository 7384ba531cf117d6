from __future__ import annotations

import os

import pytest

from hanhua.core.gpu_memory import grow_segments

OURS = {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}


@pytest.mark.parametrize(("set_", "found"), [
    ({}, OURS),
    ({"PYTORCH_ALLOC_CONF": "backend:native"}, {"PYTORCH_ALLOC_CONF": "backend:native"}),
    ({"PYTORCH_CUDA_ALLOC_CONF": "backend:native"}, {"PYTORCH_CUDA_ALLOC_CONF": "backend:native"}),
])  # fmt: skip
def test_segments_grow_where_the_user_said_nothing(monkeypatch, set_, found):
    monkeypatch.setattr(os, "environ", dict(set_))
    grow_segments()
    assert os.environ == found
