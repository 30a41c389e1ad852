# Each target works alone on a clean clone: it makes .venv and installs what it needs, once.

PYTHON ?= python3
ARGS   ?=
BIN    := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check bench rivals clean
.NOTPARALLEL:

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: PYTHON=python3.x makes .venv with that Python; ARGS='...' is passed on by test and bench."

demo: .venv/installed-cli  ## paste lesions between made-up images; says where the picture is
	$(BIN)/softcp demo --out demo_output --overwrite

test: .venv/installed-test .venv/installed-nnunet  ## run the tests (ARGS='-m ""' for the slow ones too)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

check: .venv/installed-dev  ## lint, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: .venv/installed-bench  ## run the CPU benchmarks (ARGS='--name MACHINE' keeps the results)
	$(BIN)/python -m benchmarks.runs $(if $(ARGS),$(ARGS),--out bench.json)

rivals: .venv/installed-bench  ## install what only the benchmarks compare with, into .rivals
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --upgrade --target .rivals --requirement benchmarks/requirements-rivals.txt

clean:  ## remove .venv and everything else that make made
	rm -rf .venv .rivals bench.json demo_output build *.egg-info .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache

# One stamp for each extra of pyproject.toml. Only a finished install leaves one.
.venv/installed-%: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@test -e .venv/created || { $(PYTHON) -m venv .venv && touch .venv/created; }
	@echo "Installing softcp-gpu[$*] into .venv (the first time takes minutes: PyTorch is large)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@touch $@

# Without dependencies: requirements-nnunet.txt says why.
.venv/installed-nnunet: requirements-nnunet.txt .venv/installed-test
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --requirement $<
	@touch $@
