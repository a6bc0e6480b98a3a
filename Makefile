# Two commands do everything on a fresh machine: `make demo` and `make test`.
# They need python3 >= 3.11 with venv and pip, and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8

# Everything is installed into $(VENV), with the Python that made it, from uv.lock alone.
export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON := $(CURDIR)/$(BIN)/python
export UV_PYTHON_DOWNLOADS := never
export UV_HTTP_TIMEOUT ?= 180
# Trust what the machine trusts, as pip does; without a system store, uv's own bundle serves.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),)
export UV_SYSTEM_CERTS ?= 1
endif
# The theme advertises its successor on every build.
export NO_MKDOCS_2_WARNING := 1
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

# What `make check` looks at: the parts that exist.
CODE := $(wildcard src tests bench chaos tools)
TYPED := $(wildcard src tests/typing tools)
# The extras that tests use.
EXTRAS := api aws azure databricks duckdb excel gcp iceberg mongodb mssql mysql openlineage oracle postgres
CHECKS := lint types layers sizes lock-check docs

# The name of a step, so that a quiet step still says what it does.
say = @printf '\033[1m==> %s\033[0m\n' '$(1)'
ifneq ($(NO_COLOR)$(CI),)
say = @printf '==> %s\n' '$(1)'
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check bench bench-short chaos chaos-short chaos-peers docs docs-serve clean lock upgrade format $(CHECKS)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

# ---- set-up: again only when the lock, pyproject.toml or the version of uv changed ----

UV := $(VENV)/.uv-$(UV_VERSION)

$(UV):
	$(call say,creating $(VENV) with $(PYTHON))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tidegate needs Python 3.11 or newer: make PYTHON=...")'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install uv==$(UV_VERSION)
	@touch $@

# What a user gets: the core and DuckDB.
$(VENV)/.ready-user: $(UV) uv.lock pyproject.toml
	$(call say,installing Tidegate)
	@$(BIN)/uv sync --quiet --frozen --inexact --no-default-groups --extra duckdb
	@touch $@

# What a developer needs: every tool, and the extras that tests use.
$(VENV)/.ready-developer: $(UV) uv.lock pyproject.toml
	$(call say,installing Tidegate with the tools of a developer)
	@$(BIN)/uv sync --quiet --frozen $(foreach extra,$(EXTRAS),--extra $(extra))
	@touch $@ $(VENV)/.ready-user

# ---- the targets ----

demo: $(VENV)/.ready-user ## load the sample project, and show what Tidegate does
	$(call say,tidegate demo)
	@$(BIN)/tidegate demo

test: $(VENV)/.ready-developer ## run every test and doctest, in parallel (ARGS="-k name" to choose)
	@tools/install_services.sh || true # a test that needs a server says why it has none
	$(call say,pytest)
	@$(BIN)/python -m pytest -n auto --doctest-modules src $(wildcard tests) $(ARGS)

check: $(VENV)/.ready-developer ## lint, format, types, layers, module sizes, lock file, documentation
	@$(MAKE) --no-print-directory --keep-going -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) $(CHECKS)

lint: $(VENV)/.ready-developer
	$(call say,ruff check and ruff format --check)
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/ruff format --quiet --check $(CODE)

types: $(VENV)/.ready-developer
	$(call say,mypy --strict)
	@$(BIN)/mypy --no-error-summary $(TYPED)

layers: $(VENV)/.ready-developer
	$(call say,import-linter)
	@out=$$($(BIN)/lint-imports --no-logo) || { printf '%s\n' "$$out"; exit 1; }

sizes: $(VENV)/.ready-developer
	$(call say,module sizes)
	@$(BIN)/python tools/module_size.py src

lock-check: $(VENV)/.ready-developer
	$(call say,uv.lock agrees with pyproject.toml)
	@$(BIN)/uv lock --quiet --check || { echo 'uv.lock is behind pyproject.toml: run `make lock`'; exit 1; }
	@$(BIN)/python tools/check_lock.py uv.lock

docs: $(VENV)/.ready-developer ## build the documentation into build/site
	$(call say,mkdocs build --strict)
	@$(BIN)/mkdocs build --quiet --strict

docs-serve: $(VENV)/.ready-developer ## read the documentation while writing it
	@$(BIN)/mkdocs serve

bench: $(VENV)/.ready-developer ## measure speed and memory against hand-written code (ARGS=...)
	$(call say,bench)
	@$(BIN)/python -m bench $(ARGS)

bench-short: $(VENV)/.ready-developer ## the same on small data
	$(call say,bench --short)
	@$(BIN)/python -m bench --short $(ARGS)

chaos: $(VENV)/.ready-developer ## kill real processes and look for lost or doubled rows (ARGS=...)
	$(call say,chaos)
	@$(BIN)/python -m chaos $(ARGS)

chaos-short: $(VENV)/.ready-developer ## the same with few kills
	$(call say,chaos --short)
	@$(BIN)/python -m chaos --short $(ARGS)

chaos-peers: $(VENV)/.ready-developer ## put other tools to the same kills; installs them into build/peers
	$(call say,chaos --peers)
	@$(BIN)/python -m chaos --peers $(ARGS)

format: $(VENV)/.ready-developer ## apply ruff's fixes and formatting
	@$(BIN)/ruff check --quiet --fix-only $(CODE)
	@$(BIN)/ruff format --quiet $(CODE)

lock: $(UV) ## bring uv.lock in line with pyproject.toml, changing as little as it can
	$(call say,uv lock)
	@$(BIN)/uv lock $(ARGS)
	@$(BIN)/python tools/check_lock.py uv.lock

upgrade: ## move every locked version to the newest allowed
	@$(MAKE) --no-print-directory lock ARGS=--upgrade

clean: ## remove the environment and everything that was built
	$(call say,clean)
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +
