# Everything sets itself up: on a fresh machine `make demo` or `make test` is the first command.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
TORCH ?= torch==2.13.0

# Compiled files are kept: many tests start processes, and each would compile all sources again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-base test check bench format clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

# The stamp makes a second `make` start at once; pyproject.toml and the compiled part decide when to
# install again. Without a C compiler the package goes without its compiled part.
.venv/.ready: pyproject.toml setup.py $(wildcard src/hanhua/*/native/*.[ch])
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --no-compile --disable-pip-version-check "$(TORCH)"
	$(BIN)/pip install -q --no-compile --disable-pip-version-check -e ".[serve,dev]"
	@touch .venv/.ready

setup: .venv/.ready ## build .venv with hanhua in it

demo: setup ## localise the built-in tiny English LLaMA to Chinese and name the report
	$(BIN)/hanhua demo

demo-base: setup ## train the shipped tiny English LLaMA again from its text
	$(BIN)/python -m hanhua.demo.build

test: setup ## run the tests
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: setup ## format, lint, types, then the quick tests
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow"

bench: setup ## every benchmark, small
	@set -e; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file --quick; done

format: setup ## format and mend what can be mended
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

clean: ## remove what was built, never a run
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
