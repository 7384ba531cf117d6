"""Rows for every test, and one thread."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
import resumed_run
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


@pytest.fixture
def start(monkeypatch):
    """Start a run in a fresh process, forked from a server that has torch imported already."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["resumed_run"])

    def begin(*args, run=resumed_run.run):
        process = context.Process(target=run, args=args)
        process.start()
        return process

    return begin
