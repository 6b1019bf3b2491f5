# Every goal sets up what it needs in .venv; a machine needs git, make and Python 3.11 (or a newer python3).
# `make` alone lists the goals.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

BIN := .venv/bin
RUNS := .venv/.runs
READY := .venv/.ready
ARGS ?=
# How many processes share the tests, file by file. More than cores, because most tests wait for servers and processes.
WORKERS ?= 4

# The first of these that starts and is new enough. Override with `make PYTHON=/path/to/python ...`.
PYTHON ?= $(shell for name in python3.11 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

.PHONY: help
help: ## List the goals
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(RUNS) ## Watch outlast and a plain client live through the same outages (ARGS="--seconds 30")
	@$(BIN)/outlast demo $(ARGS)

.PHONY: verdict
verdict: $(READY) ## Play the demo and write what was counted into the README
	@$(BIN)/python scripts/verdict.py $(ARGS)

.PHONY: test
test: $(READY) ## Run all tests with branch coverage (ARGS="-k breaker", ARGS=tests/unit)
	@$(BIN)/coverage erase
	@status=0; $(BIN)/coverage run -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS) || status=$$?; \
	$(BIN)/coverage combine --quiet || true; exit $$status

.PHONY: check
check: $(READY) ## Run every gate: the tests and all that CI asks for
	@$(BIN)/python scripts/check.py $(ARGS)

.PHONY: fix
fix: $(READY) ## Format the code and apply the safe repairs of the linter
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

.PHONY: bench
bench: $(READY) ## Run the benchmarks
	@$(BIN)/python scripts/bench.py $(ARGS)

.PHONY: conformance
conformance: $(READY) ## Hold outlast and its peers to the same demands (ARGS=--mutants)
	@$(BIN)/python bench/conformance $(ARGS)

.PHONY: torture
torture: $(READY) ## Kill, stop, cut and fill until it hurts, and let an observer judge (ARGS="--kills 3000 --only kills")
	@$(BIN)/python bench/torture $(ARGS)

.PHONY: torture-peers
torture-peers: $(READY) ## Kill huey, litequeue and persist-queue in the same way
	@$(BIN)/python bench/torture/peers.py $(ARGS)

.PHONY: docs
docs: $(READY) ## Regenerate the generated parts of the documentation and check its links
	@$(BIN)/python scripts/docs.py $(ARGS)

.PHONY: lock
lock: ## Resolve all dependencies anew and pin them in constraints.txt
	@$(if $(PYTHON),,$(error no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python))
	@$(PYTHON) scripts/lock.py

.PHONY: clean
clean: ## Remove the environments, caches and results
	@rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist htmlcov
	@rm -f .coverage .coverage.* coverage.json
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The package with its extras, for running it; and with the tools of development as well.
$(RUNS): GROUP :=
$(READY): GROUP := dev
$(RUNS) $(READY): pyproject.toml constraints.txt
	@$(if $(PYTHON),,$(error no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python))
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "setting up .venv with $$($(BIN)/python --version)"
	@$(BIN)/python scripts/install.py $(GROUP)
	@touch $@
