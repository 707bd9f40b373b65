# Everything a newcomer types. Each target makes the virtual environment first if there is none.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: up test chaos check bench bench-quick format lock clean help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

up: .venv/up  ## run everything on this machine; Ctrl-C stops it
	@exec $(BIN)/luna up

test: .venv/dev  ## run the tests, three files at a time: they wait more than they work
	$(BIN)/pytest --numprocesses 3 --dist loadfile

chaos: .venv/dev  ## kill every process at random for some minutes; count what is lost, doubled or late
	$(BIN)/python -m tests.chaos

check: .venv/dev  ## lint, format, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/up  ## measure beside other job systems; half an hour on a quiet machine
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.gateway

bench-quick: .venv/up  ## the same with a fifth of the work, once
	$(BIN)/python -m benchmarks --quick --rounds 1
	$(BIN)/python -m benchmarks.gateway --rounds 1

format: .venv/dev  ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/dev  ## write the versions of this environment to constraints.txt
	$(BIN)/pip freeze --exclude-editable --all --exclude pip --exclude setuptools > constraints.txt

clean:  ## remove the environment and the data of `make up`
	rm -rf .venv var build *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Luna needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv

.venv/up: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[up]'
	@touch $@

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[up,dev]'
	@touch $@ .venv/up
