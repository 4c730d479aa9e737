# The front door. Every command does its own set-up; what is done is not done again.
# `make help` lists the commands.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Two worker processes with one thread each beat one process with two threads on small models.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= passive

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev learn test test-fast lint bench clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.learn: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.learn
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.learn

setup-dev: $(VENV)/.dev
	@sh tests/system_packages.sh

learn: setup  ## open the lessons in JupyterLab
	@$(BIN)/python -m lessons_lib learn

test: setup-dev  ## run the whole suite, notebooks included
	$(BIN)/python -m pytest tests -n 2 --dist loadfile
	$(BIN)/python -m pytest notebooks --nbval-lax --nbval-current-env

test-fast: setup-dev  ## the quick part of the suite, about 2 minutes
	$(BIN)/python -m pytest tests -n 2 --dist loadfile -m "not slow and not browser"

lint: setup-dev  ## check style and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: setup-dev  ## measure speed and memory, print each beside its target
	$(BIN)/python tests/benchmarks/run.py

clean:  ## remove what the commands built, the virtual environment included
	rm -rf $(VENV) _build .pytest_cache .ruff_cache
