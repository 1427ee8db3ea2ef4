# Every target sets up what it needs first; a set-up that is complete costs a fraction of a second.
# Kept to what GNU Make 3.81 knows (the one of macOS).

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run ui test test-unit prove check bench power steadiness monitoring docs compose-test \
	k8s-test setup-test bad-states clean

# Servers built by the set-up win over others of their name, which were found unfit.
export PATH := $(CURDIR)/.tools/bin:$(PATH)

# Tests start hundreds of processes; without bytecode each would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON_BIN := .venv/bin/python
PACKAGES := client users faults cluster telemetry verdict report dashboard session bench scripts options memquake \
	settings.py locustfile.py

RUNS := 60
SUITES := 10
RUN_OPTIONS := --scenario single-node-failure --time-scale 0.5
UI_OPTIONS := --web-host 127.0.0.1 --scenario single-node-failure --time-scale 0.5

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile

setup: ## install everything a run needs (.venv, memcached, nft, toxiproxy-server)
	@sh scripts/setup.sh runtime

setup-dev:
	@sh scripts/setup.sh dev

run: setup ## a minute: load three nodes, lose one, judge what happened
	@$(PYTHON_BIN) -m locust --headless $(RUN_OPTIONS)

ui: setup ## Locust's web UI on http://127.0.0.1:8089
	@$(PYTHON_BIN) -m locust $(UI_OPTIONS)

test: setup-dev ## all tests: unit, integration, end to end
	@$(PYTHON_BIN) -m scripts.lanes test

test-unit: ## the fast lane: unit tests, which need Python packages alone
	@sh scripts/setup.sh unit
	@$(PYTHON_BIN) -m pytest tests/unit

# ROUNDS=5 repeats each run, each hundred of kills and of sequences that often.
prove: setup-dev ## the slow proofs: broken clients, kills at random moments, exact figures
	@$(PYTHON_BIN) -m scripts.lanes prove

check: setup-dev ## format, lint, types, who may import whom, what containers may do, what Grafana asks
	@$(PYTHON_BIN) -m ruff format --check .
	@$(PYTHON_BIN) -m ruff check .
	@$(PYTHON_BIN) -m mypy $(PACKAGES)
	@.venv/bin/lint-imports --no-logo
	@$(PYTHON_BIN) -m scripts.policies
	@$(PYTHON_BIN) -m scripts.monitoring --check
	@$(PYTHON_BIN) -m scripts.options_page --check

monitoring: setup-dev ## write the dashboards and docs/metrics.md anew
	@$(PYTHON_BIN) -m scripts.monitoring

docs: setup-dev ## write docs/options.md anew
	@$(PYTHON_BIN) -m scripts.options_page

bench: setup ## CPU per operation against peers, batches, overhead, an outage (9 minutes)
	@$(PYTHON_BIN) -m bench

power: setup-dev ## how often each check is right, over honest and broken clients (30 minutes a round)
	@$(PYTHON_BIN) -m tests.e2e.power

steadiness: setup-dev ## how often a run proves something beside a busy neighbour (two hours; RUNS=, SUITES=)
	@$(PYTHON_BIN) -m tests.e2e.steadiness --runs $(RUNS) --suites $(SUITES)

compose-test: setup-dev ## docker-compose.yml on a real Docker engine, up, judged and down again
	@$(PYTHON_BIN) -m pytest -m compose tests/compose

# LOAD='kind load docker-image' brings the images, one after the other, onto the nodes first.
k8s-test: setup-dev ## k8s/ on the cluster of the current kubectl context, in namespaces of its own
	@MEMQUAKE_LOAD="$(LOAD)" $(PYTHON_BIN) -m pytest -m k8s tests/k8s

setup-test: setup-dev ## README's commands from nothing, in bare containers of a Docker engine (15 minutes)
	@$(PYTHON_BIN) -m pytest -m bare tests/setup

bad-states: setup-dev ## each bad state of a client: provoked, detected, and what others do in it
	@$(PYTHON_BIN) -m tests.integration.client.bad_states

clean: ## remove what set-up and runs left (.venv, .tools, runs, caches)
	rm -rf .venv .tools runs bench/results
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
