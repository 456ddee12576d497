# Everything a contributor or CI runs. Needs python3 >= 3.11; the rest is found or fetched.
# Requirements come from requirements.lock by plain pip, hashes checked.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-lock
BROKER ?= redis
CODE := service tests loadtest k8s
IMAGE := k8s/image
SCENARIO ?= spike
AT ?= up
LOAD_AT = $(if $(filter cluster,$(AT)),--env .marea/cluster.env --namespace marea,$(if \
	$(filter up,$(AT)),,--env $(AT)))
LAB_EXEC = $(if $(filter cluster,$(AT)),k8s/lab/lab exec )
RESOLVE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-emit-index-url --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help dev demo test bench load check format docs image cluster cluster-down lab lock clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

dev: $(STAMP)  ## Make .venv with every locked requirement (1-4 minutes, once per lock)

demo: $(STAMP)  ## Show uploads becoming results on this machine; BROKER=redis|rabbitmq
	$(BIN)/python -m loadtest.demo --broker $(BROKER)

test: $(STAMP)  ## Run every test against real servers (stops after 62 minutes; times are shown)
	$(BIN)/python tests/run.py

bench: $(STAMP)  ## Measure what the guarantees cost beside programs without; ONLY='images events' for some
	$(BIN)/python -m loadtest.bench $(ONLY)

load: $(STAMP)  ## Load a platform and judge it: SCENARIO=spike, AT=up|cluster|FILE of variables
	$(LAB_EXEC)$(BIN)/python -m loadtest run $(SCENARIO) $(LOAD_AT)

check: $(STAMP)  ## Run what a change must pass: style, types, imports, unit tests (under 2 minutes)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q -n 2 tests/unit

format: $(STAMP)  ## Put code into the one form
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

docs: $(STAMP)  ## Write the generated pages of docs/ anew
	$(BIN)/python -m marea.cli.settings_table > docs/settings.md.new
	mv docs/settings.md.new docs/settings.md
	$(BIN)/python tests/chart/settings_schema.py
	$(BIN)/python tests/chart/chart_readme.py

image:  ## Build the container image; BASE, EXTRAS, ENGINE, TAG as docs/image.md has them
	$(IMAGE)/build $(TAG)

cluster: $(STAMP)  ## Bring up a Kubernetes with Marea in it; BROKER=redis|rabbitmq, KIND=1 for kind
	$(BIN)/python k8s/cluster.py up --broker $(BROKER) $(if $(KIND),--kind)

cluster-down:  ## Take all of that away again
	$(PYTHON) k8s/cluster.py down $(if $(KIND),--kind)

lab:  ## Bring up the bare Kubernetes that `make cluster` uses (k8s/README.md)
	k8s/lab/lab images
	k8s/lab/lab up

lock:  ## Resolve requirements.lock and the image's locks anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv"; exit 1; }
	$(RESOLVE) --extra dev -o requirements.lock pyproject.toml
	$(RESOLVE) -c requirements.lock -o $(IMAGE)/requirements.lock pyproject.toml
	$(RESOLVE) -c requirements.lock --extra tables \
		-o $(IMAGE)/requirements-tables.lock pyproject.toml
	$(RESOLVE) -c requirements.lock --extra load -o $(IMAGE)/requirements-load.lock pyproject.toml
	$(RESOLVE) -c requirements.lock -o $(IMAGE)/build.lock $(IMAGE)/build.in
	$(RESOLVE) -c requirements.lock -o $(IMAGE)/sbom.lock $(IMAGE)/sbom.in

clean:  ## Remove what make and the tools wrote here (not the servers' cache)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf service/*.egg-info build dist
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# Compiled here: where PYTHONDONTWRITEBYTECODE is set, each of the thousand processes of a test run
# would otherwise compile every library anew.
# The stamp holds the lock that .venv was made from. It is compared, not dated: git sets the
# file times of a fresh checkout as it likes.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Marea needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
		"Choose another: make PYTHON=python3.12 dev"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment;" \
		"on Debian: apt-get install python3-venv"; exit 1; }
	@if cat requirements.lock pyproject.toml | cmp -s - $@; then touch $@; else \
		echo "Installing the locked requirements into $(VENV) (1-4 minutes)" && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check \
			--require-hashes -r requirements.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e . && \
		$(BIN)/python -m compileall -q service && \
		cat requirements.lock pyproject.toml > $@ && echo "Done: $(BIN)/marea"; \
	fi
