# Two commands matter: `make demo` and `make test`. Both set up what is missing.

# Dependencies are built once, in a folder outside the clone that survives it.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/shipway/target
export CARGO_TERM_COLOR ?= never

python := .venv/bin/python
shipway := $(CARGO_TARGET_DIR)/debug/shipway

.PHONY: help demo test check unit clients demo-short soak bench docs setup build

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: setup build ## the main job on real flights, end to end, with the result table
	$(python) demo/run.py --shipway $(shipway)

test: setup check unit clients demo-short ## every check and test

check: setup ## formatting, lints, the map of the crates
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	cargo xtask all

unit: setup ## unit, property and integration tests
	cargo test --workspace --quiet

clients: setup build ## the unmodified Python clients and the SDK against the real binary
	SHIPWAY_BINARY=$(shipway) $(python) -m pytest --quiet tests/clients
	cd python && ../$(python) -m mypy
	cd python && SHIPWAY_BINARY=$(shipway) ../$(python) -m pytest --quiet

demo-short: setup build ## the demo on two months
	$(python) demo/run.py --shipway $(shipway) --short

soak: setup ## random definitions on random streams, every path against the oracle, for SHIPWAY_SOAK_SECONDS (default 600)
	cargo test --workspace --test integration -- --ignored --nocapture --exact differential::soak

bench: setup ## ours against the peers, as ratios (builds with --release); BENCH="--full --only scaled" chooses
	cargo build --release --workspace --bins --examples
	$(python) bench/run.py --shipway $(CARGO_TARGET_DIR)/release/shipway $(BENCH)

docs: build ## write the generated references under docs/
	$(shipway) reference write docs

# One selection of packages everywhere: another selection would resolve other features and build the dependencies anew.
build: setup
	cargo build --workspace

setup:
	@scripts/setup
