# The project's commands. `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:

ORDERS ?= 200
ONLY ?=
FROM ?=
SERVICE ?=
CLUSTERED ?=
TLS ?=
TESTS ?= tests

python := .venv/bin/python
pytest := $(python) -m pytest

.PHONY: help
help: ## List these commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Play a whole shop day on a stack of its own (ORDERS=200, FROM=<order set>); leaves nothing running
	@deploy/bootstrap.sh
	@exec .venv/bin/brownpaper demo --orders $(ORDERS) $(if $(FROM),--from "$(FROM)")

.PHONY: up
up: ## Start the stack and leave it running; addresses and tokens in .run/env (SERVICE=payments: that one again; CLUSTERED=yes: docs/cluster.md; TLS=yes: docs/operations.md)
	@deploy/bootstrap.sh
	@exec $(python) -m deploy.local up $(if $(SERVICE),--service "$(SERVICE)") $(if $(CLUSTERED),--clustered) $(if $(TLS),--tls)

.PHONY: down
down: ## Stop what `make up` started; data and logs stay in .run
	@deploy/bootstrap.sh
	@exec $(python) -m deploy.local down

.PHONY: status
status: ## Show what of the stack runs where
	@deploy/bootstrap.sh
	@exec $(python) -m deploy.local status

.PHONY: test
test: ## Run all tests but the slow ones, in three runs side by side (TESTS=tests/unit for some, one after the other)
	@deploy/bootstrap.sh dev
	@exec $(python) -m tests $(if $(filter file,$(origin TESTS)),,$(TESTS))

.PHONY: test-unit
test-unit: ## Run the unit tests: no I/O
	@deploy/bootstrap.sh dev
	@exec $(pytest) tests/unit

.PHONY: test-contract
test-contract: ## Run the contract tests: our words, our fakes, the providers' specs
	@deploy/bootstrap.sh dev
	@exec $(pytest) tests/contract

.PHONY: test-integration
test-integration: ## Run the integration tests: real PostgreSQL and RabbitMQ
	@deploy/bootstrap.sh dev
	@exec $(pytest) tests/integration

.PHONY: test-component
test-component: ## Run the component tests: one service through its real doors
	@deploy/bootstrap.sh dev
	@exec $(pytest) tests/component

.PHONY: test-e2e
test-e2e: ## Run the end-to-end tests: the whole stack
	@deploy/bootstrap.sh dev
	@exec $(pytest) tests/e2e

.PHONY: test-cluster
test-cluster: ## Run the long tests of broker cluster and failover: each node and both primaries killed, 1,000 orders in flight
	@deploy/bootstrap.sh dev
	@exec $(pytest) -m slow tests

.PHONY: bench
bench: ## Measure speed: pipeline, core, floor, growth, privacy, scan (ORDERS=2000 a round, ONLY=pipeline,core for some); figures in .bench/bench.json
	@deploy/bootstrap.sh dev
	@exec $(python) -m tests.bench $(if $(filter file,$(origin ORDERS)),,--orders $(ORDERS)) $(if $(ONLY),--only "$(ONLY)")

.PHONY: test-faults
test-faults: ## Kill every service at every step of its work, one after the other, and compare the books (about 10 minutes)
	@deploy/bootstrap.sh dev
	@exec $(pytest) $(TESTS) -m sweep

.PHONY: privacy-proof
privacy-proof: ## Play made-up people with faults on the way, search every byte for them, and try every key; about 2 minutes; .proof/proof.json
	@deploy/bootstrap.sh dev
	@exec $(python) -m tests.proof

.PHONY: check
check: ## Lint, check types and import contracts; all are run, the first failure counts
	@deploy/bootstrap.sh dev
	@failed=0; \
	for check in ".venv/bin/ruff check ." ".venv/bin/ruff format --check ." ".venv/bin/mypy" ".venv/bin/lint-imports"; do \
		echo "== $$check"; $$check || failed=1; \
	done; \
	exit $$failed

.PHONY: lock
lock: ## Lock the requirements anew from the .in files, with hashes (needs uv)
	@command -v uv >/dev/null || { echo "uv is needed to lock the requirements." >&2; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--output-file requirements.txt requirements.in
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--output-file requirements-dev.txt requirements-dev.in

.PHONY: clean
clean: ## Stop the stack and remove everything that these commands made, its data too
	@if [ -x $(python) ]; then $(python) -m deploy.local clean; fi
	rm -rf .venv .run .demo .test .bench .proof .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
