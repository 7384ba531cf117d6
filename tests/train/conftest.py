"""Rows for every test, and one thread."""

from __future__ import annotations

import pytest
import torch
from tiny_models import make_rows


@pytest.fixture
def rows(tmp_path):
    return make_rows(tmp_path / "rows")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
