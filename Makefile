# Tonnage. `make demo` shows it, `make test` proves it; both set up what is missing.
# Everything generated lies below build/ and .venv/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
# Runs a command with container engines: those that answer, else private ones.
WITH_ENGINE := $(BIN)/python -m deploy.engine
ARGS ?=
# What make table measures.
RUNTIMES ?= runc,containerd,docker,podman,docker-runsc,qemu-microvm,qemu-full

CACHE := $(CURDIR)/build/cache
export RUFF_CACHE_DIR := $(CACHE)/ruff
export MYPY_CACHE_DIR := $(CACHE)/mypy
export BUF_CACHE_DIR := $(CACHE)/buf
export HYPOTHESIS_STORAGE_DIRECTORY := $(CACHE)/hypothesis
# Whatever the environment says: programs are started by the hundred, and compiled once.
export PYTHONDONTWRITEBYTECODE :=
export PATH := $(PATH):$(CURDIR)/build/tools:/usr/sbin:/sbin

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: bootstrap ## Compare containers and VMs on this machine; report in build/demo/
	@$(WITH_ENGINE) $(BIN)/tonnage demo --out build/demo $(ARGS)

.PHONY: test
test: bootstrap-dev ## Lint, types, contracts, protos, and all tests (ARGS go to pytest)
	@# The checks run beside the tests, which wait for machines to boot now and then.
	@$(MAKE) --no-print-directory --jobs=2 lint pytest

.PHONY: pytest
pytest:
	@TONNAGE_REQUIRE_ENGINES=1 $(WITH_ENGINE) $(BIN)/python -m pytest -o cache_dir=$(CACHE)/pytest \
		--numprocesses=2 --dist=loadscope --no-loadscope-reorder $(ARGS)

.PHONY: bench
bench: bootstrap ## Measure Tonnage's own cost; result in build/bench/
	@$(WITH_ENGINE) $(BIN)/python -m benchmarks --out build/bench $(ARGS)

.PHONY: fleet-demo
fleet-demo: bootstrap ## Three hosts in network namespaces, mutual TLS; one dies and comes back
	@$(WITH_ENGINE) $(BIN)/python -m deploy.fleet $(ARGS)

.PHONY: claims
claims: bootstrap-dev ## Judge what is said of containers and VMs, on this machine; up to 30 minutes
	@# A verdict is what is asked for, whichever it is.
	@$(WITH_ENGINE) $(BIN)/tonnage claims --here --out build/claims $(ARGS) || [[ $$? == 3 || $$? == 4 ]]

.PHONY: table
table: bootstrap-dev ## Start, cost and limit of every runtime here, to docs/table.md; up to an hour
	@# Its agent may hold more than one of an operator's would: Podman's limit lies beyond 2000.
	@TONNAGE_AGENT_GUARD_MAX_INSTANCES=4000 \
		$(WITH_ENGINE) $(BIN)/tonnage demo experiments/table.yaml --out build/table --runtimes $(RUNTIMES) $(ARGS)
	@$(BIN)/python -m deploy.table build/table/result.json docs/table.md

.PHONY: observe
observe: bootstrap-dev ## Collector, PostgreSQL, agents, Prometheus, until Ctrl-C: point a Grafana at it
	@$(WITH_ENGINE) $(BIN)/python -m deploy.observe up --out build/observe $(ARGS)

.PHONY: observe-check
observe-check: bootstrap-dev ## The same, then prove every panel, rule and alert; up to 20 minutes
	@$(WITH_ENGINE) $(BIN)/python -m deploy.observe check --out build/observe $(ARGS)

.PHONY: faults
faults: bootstrap-dev ## Pull plugs and show that nothing is lost; result in build/faults/
	@$(WITH_ENGINE) $(BIN)/python -m tests.faults --out build/faults $(ARGS)

.PHONY: lint
lint: ## Check style, types, import contracts and protos (after a bootstrap)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --cache-dir $(CACHE)/import-linter
	@cd protos && ../$(BIN)/buf lint

.PHONY: protos
protos: bootstrap ## Write the stubs anew from the protos beside them
	@protos/generate.sh
	@agent/runtimes/containerd/api/generate.sh

.PHONY: dashboards
dashboards: bootstrap-dev ## Write grafana/dashboards/*.json anew from collector/dashboards
	@$(BIN)/python -m collector.dashboards

.PHONY: bootstrap
bootstrap: ## Set up what is missing: engines, QEMU, guest files, images, .venv
	@deploy/bootstrap.sh

.PHONY: bootstrap-dev
bootstrap-dev:
	@deploy/bootstrap.sh --dev

.PHONY: clean
clean: ## Remove build/
	@for each in engine podman; do \
		[[ ! -e build/$$each/users.lock ]] || \
			flock --nonblock build/$$each/users.lock python3 -m deploy.private_$$each || \
			{ echo "the private $$each is in use: end that command first" >&2; exit 1; }; \
	done
	@rm -rf build

.PHONY: distclean
distclean: clean ## Remove build/ and .venv/
	@rm -rf .venv
