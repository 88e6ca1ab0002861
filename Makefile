# Everything is created under .build/. Only Python 3.10+ and make must be installed.

PYTHON ?= python3
python := .build/env/triggering/bin/python
environment := $(PYTHON) dev/environments.py
pytest := $(python) -m pytest
releases := 2.11.0 2.11.2 3.0.6 3.1.8 3.2.2 3.3.2
measured := $(pytest) --cov=astro_provider --cov-append --cov-report=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo pictures test lint format unit contract integration faults packaging versions bench lock clean triggering target target-v1 compose lowest

help: ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' Makefile | column -ts '|'

demo: triggering target ## start two deployments on this machine; a DAG in one triggers a DAG in the other (KEEP=1 leaves them running)
	@$(python) -m dev.demo $(if $(KEEP),--keep)

test: ## run lint, unit, contract, integration and packaging, and report the coverage
	@rm -f .coverage*
	@$(MAKE) --no-print-directory lint unit contract integration packaging
	@$(python) -m coverage report --fail-under=95

lint: triggering ## check style, formatting, types, import layers, the length of files and the names of tests
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	.build/env/triggering/bin/lint-imports --no-logo --no-cache
	$(python) -m dev.check_layout

format: triggering ## fix and format with ruff
	$(python) -m ruff check --fix
	$(python) -m ruff format

unit: triggering target target-v1 compose lowest ## run the tests that start no Airflow, with Airflow 3, Airflow 2 and the oldest versions of dependencies
	$(measured) -n auto tests/unit
	$(measured) tests/dev -m "not integration"
	.build/env/target-v1/bin/python -m pytest -n auto tests/unit
	.build/env/lowest/bin/python -m pytest -n auto tests/unit

contract: triggering target-v1 ## compare requests and responses of the tests with Airflow's OpenAPI descriptions
	$(measured) tests/contract

integration: triggering target target-v1 ## run the tests on real deployments, two of Airflow 3 and one of Airflow 2
	MEASURE_DEPLOYMENTS=1 $(measured) tests/integration -m "not faults"
	$(pytest) tests/lineage
	$(pytest) tests/dev -m integration

faults: triggering target target-v1 ## trigger runs while processes, requests and targets fail, and check that each task creates one run
	$(pytest) tests/integration/test_faults*.py

packaging: triggering ## install the wheel, and the package with the versions of each supported Airflow release
	$(pytest) tests/packaging

versions: triggering target $(releases:%=triggering-%) ## trigger, wait and cancel with every supported Airflow release, and run the unit tests with 3.0 to 3.2
	$(pytest) tests/versions
	@for release in 3.0.6 3.1.8 3.2.2; do .build/env/triggering-$$release/bin/python -m pytest tests/unit || exit; done

bench: triggering target ## measure waiting and triggering, compared with alternatives, and write docs/benchmarks.md
	@$(python) -m tests.benchmarks

triggering target target-v1 compose lowest:
	@$(environment) $@

triggering-%: # the package with an Airflow release and packages published by then, such as triggering-3.0.6
	@$(environment) $@

pictures: triggering target ## take the pictures in docs/pictures from the UI of two deployments; needs chromium
	@$(environment) pictures
	@.build/env/pictures/bin/python -m dev.pictures

lock: ## write dev/requirements/*.txt again, with the newest versions
	@$(environment) --lock

clean: ## remove build artifacts and environments
	rm -rf .build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache dist
