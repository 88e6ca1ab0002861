# What can be done here. Everything is made under .build/; Python 3.10+ and make must be there, nothing else.

PYTHON ?= python3
python := .build/env/triggering/bin/python
environment := $(PYTHON) dev/environments.py
pytest := $(python) -m pytest
releases := 2.11.0 2.11.2 3.0.6 3.1.8 3.2.2 3.3.2
measured := $(pytest) --cov=astro_provider --cov-append --cov-report=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint format unit contract integration packaging versions bench lock clean triggering target target-v1 compose lowest

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' Makefile | column -ts '|'

demo: triggering target ## two deployments here: a DAG in one triggers a DAG in the other (KEEP=1 leaves them up)
	@$(python) -m dev.demo $(if $(KEEP),--keep)

test: ## everything below down to packaging, and how much of astro_provider it runs
	@rm -f .coverage*
	@$(MAKE) --no-print-directory lint unit contract integration packaging
	@$(python) -m coverage report --fail-under=95

lint: triggering ## style, formatting, types
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy

format: triggering ## let ruff repair and format what it can
	$(python) -m ruff check --fix
	$(python) -m ruff format

unit: triggering target target-v1 compose lowest ## no Airflow running; under Airflow 3, Airflow 2, and the oldest versions
	$(measured) tests/unit tests/dev -m "not integration"
	.build/env/target-v1/bin/python -m pytest tests/unit
	.build/env/lowest/bin/python -m pytest tests/unit

contract: triggering target-v1 ## every request and stubbed answer against Airflow's own API descriptions
	$(measured) tests/contract

integration: triggering target target-v1 ## real deployments: two of Airflow 3, one of Airflow 2
	MEASURE_DEPLOYMENTS=1 $(measured) tests/integration
	$(pytest) tests/dev -m integration

packaging: triggering ## the built wheel in a fresh environment, and with the versions of each supported release
	$(pytest) tests/packaging

versions: triggering target $(releases:%=triggering-%) ## the main job and the unit tests under every supported release
	$(pytest) tests/versions
	@for release in 3.0.6 3.1.8 3.2.2; do .build/env/triggering-$$release/bin/python -m pytest tests/unit || exit; done

bench: triggering target ## what waits and triggers cost beside what others do, into docs/benchmarks.md
	@$(python) -m tests.benchmarks

triggering target target-v1 compose lowest:
	@$(environment) $@

triggering-%: # the package with that release of Airflow and what had been published by then, such as triggering-3.0.6
	@$(environment) $@

lock: ## newest versions of everything into dev/requirements/*.txt
	@$(environment) --lock

clean: ## forget all that was made
	rm -rf .build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache dist
