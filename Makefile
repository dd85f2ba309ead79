# evalspan: `make` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
STACK := .stack
DATA ?= data
INSTALL = $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement
GO := $(shell command -v go 2>/dev/null)

.PHONY: help setup demo demo-stack test check stack golden docs proto bench torture run wheel clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "evalspan needs Python 3.11 or newer; set PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.done: requirements/run.txt pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "installing what evalspan needs to run (once)"
	@$(INSTALL) requirements/run.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/test.done: requirements/test.txt $(VENV)/run.done
	@echo "installing what the tests need (once)"
	@$(INSTALL) requirements/test.txt
	@touch $@

setup: $(VENV)/run.done ## Make the virtual environment with everything pinned

run: $(VENV)/run.done ## Run the sidecar with ./evalspan.yaml, or with the defaults
	$(BIN)/evalspan serve

demo: $(VENV)/run.done ## Watch the whole way once: a prompt change breaks one customer, and the proven mend
	$(BIN)/evalspan demo

demo-stack: $(VENV)/test.done stack ## The demo through the real Collector, Prometheus and Loki (needs Go)
	EVALSPAN_REQUIRE_STACK=1 $(PY) -m pytest tests/stack/test_story.py -q -s

test: $(VENV)/test.done ## Run every test; what needs Go or servers says by name what was left out
	$(PY) -m pytest -q
ifdef GO
	cd processor/evalspanprocessor && go test -race ./...
else
	@echo "left out: tests of the Collector processor (no Go on this machine)"
endif

check: $(VENV)/test.done ## Lint, format and types: ruff, mypy; gofmt, go vet, staticcheck where Go is
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	bash proto/generate.sh --check
ifdef GO
	test -z "$$(gofmt -l processor)" || { gofmt -l processor; exit 1; }
	cd processor/evalspanprocessor && go vet ./... && go tool -modfile=../tools/go.mod staticcheck ./...
	bash processor/generate.sh --check
else
	@echo "left out: gofmt, go vet, staticcheck (no Go on this machine)"
endif

stack: $(VENV)/test.done ## Install and build the real servers for the tests: Collector, Loki, Prometheus (needs Go)
	bash tests/stack/install.sh

golden: $(VENV)/test.done ## Write the golden rows anew from the captures; read the diff
	$(PY) tests/golden/rewrite.py

docs: $(VENV)/test.done ## Write the reference pages anew from the code
	$(PY) docs/generate.py

proto: $(VENV)/test.done ## Generate the code of the gRPC contract for Python and Go
	bash proto/generate.sh

bench: $(VENV)/test.done ## Measure CPU, memory and lag; writes bench/RESULTS.md and bench/results.json
	$(PY) -m evalspan.bench throughput --write bench

torture: $(VENV)/test.done stack ## Kill receiver, pipeline and Collector 20 times; nothing lost, nothing doubled
	EVALSPAN_REQUIRE_STACK=1 $(PY) -m pytest tests/stack/test_torture.py -q -s

wheel: $(VENV)/run.done ## Build the wheel into dist/
	$(PY) -m hatchling build -t wheel

clean: ## Remove what the targets made
	rm -rf $(VENV) $(STACK) dist evalspan-demo
