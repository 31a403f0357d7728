# airis: `make run` starts it, `make test` tests it; both set up all they need first.
.DEFAULT_GOAL := help
.PHONY: help install run demo test soak check bench instructions docs lock clean

# A folder of ours must never hide an installed module of the same name.
export PYTHONSAFEPATH := 1

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SOURCES := pyproject.toml requirements.lock hatch_build.py $(wildcard rust/Cargo.* rust/src/*.rs rust/src/*/*.rs rust/*/Cargo.toml rust/*/src/*.rs)

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## Set up .venv with airis and its tools (builds the Rust core where cargo is present)

$(STAMP): $(SOURCES)
	@echo "Setting up .venv; the first time takes a minute or two."
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "airis needs Python 3.11 or newer; say where it is: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@if command -v uv >/dev/null; then \
		uv pip install --quiet --python $(BIN)/python -r requirements.lock && \
		uv pip install --quiet --python $(BIN)/python --no-deps --reinstall-package airis -e .; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .; \
	fi
	@$(BIN)/airis version --verbose
	@touch $(STAMP)

run: install ## Start airis in the foreground (ARGS="--config my.yaml")
	@$(BIN)/airis run $(ARGS)

demo: install ## Start airis with a small shop that sends it telemetry
	@$(BIN)/airis demo $(ARGS)

test: install ## Run the tests (ARGS="-k batch")
	@$(BIN)/pytest $(ARGS)

soak: install ## Kill it, cut it off, fill its disk, and count (ARGS="--cell R07 --seed 5 --minutes 10", --prove)
	@$(BIN)/python tests/faults $(ARGS)

check: install ## Lint, types, Rust lints, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=benchmarks $(BIN)/mypy benchmarks/*.py
	$(BIN)/pyright
	$(BIN)/airis docs --check
	@if command -v cargo >/dev/null; then \
		for workspace in rust benchmarks; do \
			(cd $$workspace && cargo fmt --all --check && \
				cargo clippy --workspace --all-targets --locked -- -D warnings && \
				cargo test --workspace --locked --quiet) || exit 1; \
		done; \
	else echo "cargo is not installed: the Rust core was not checked"; fi

bench: install ## Measure CPU-seconds per million items (see docs/performance.md)
	@test -d .venv/rotel || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--target .venv/rotel rotel || echo "rotel cannot be installed: measuring without a peer"
	@$(BIN)/python benchmarks $(ARGS)

instructions: ## Count the instructions of every kernel; one that became dearer fails (ARGS=--write for a new table)
	@$(PYTHON) benchmarks/count_instructions.py $(ARGS)

docs: install ## Write the pages that are made from the code
	@$(BIN)/airis docs --write

lock: ## Resolve the dependencies anew into requirements.lock
	uv pip compile --quiet --upgrade --universal --python-version 3.11 pyproject.toml --group dev \
		--no-emit-index-url --no-header --no-annotate -o requirements.lock

clean: ## Remove what was installed and built
	rm -rf .venv rust/target benchmarks/target dist src/airis/_core.abi3.so src/airis/ui
