# Two commands matter: `make demo` and `make test`. Both set up what is missing.

# Dependencies are built once, in a folder outside the clone that survives it.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/shipway/target
export CARGO_TERM_COLOR ?= never

python := .venv/bin/python
shipway := $(CARGO_TARGET_DIR)/debug/shipway
optimised := $(CARGO_TARGET_DIR)/optimised
over_kafka := $(if $(filter 1,$(DEMO_KAFKA)),--kafka)

.PHONY: help demo test check unit clients demo-short soak faults pulsar bench optimised docs setup build

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: setup build ## the main job on real flights, end to end, with the result table; DEMO_KAFKA=1: over a real Kafka
	$(python) demo/run.py --shipway $(shipway) $(over_kafka)

test: setup check unit clients demo-short ## every check and test

check: setup ## formatting, lints, the map of the crates
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	cargo xtask all

unit: setup ## unit, property and integration tests
	cargo test --workspace --quiet

clients: setup build ## the unmodified Python clients and the SDK against the real binary
	SHIPWAY_BINARY=$(shipway) $(python) -m pytest --quiet tests/clients
	SHIPWAY_BINARY=$(shipway) SHIPWAY_TEST_METADATA=postgresql $(python) -m pytest --quiet tests/clients/test_mlflow*.py
	cd python && ../$(python) -m mypy
	cd python && SHIPWAY_BINARY=$(shipway) ../$(python) -m pytest --quiet

demo-short: setup build ## the demo on two months
	$(python) demo/run.py --shipway $(shipway) --short $(over_kafka)

soak: setup ## random definitions on random streams, every path against the oracle, for SHIPWAY_SOAK_SECONDS (default 600)
	cargo test --workspace --test integration -- --ignored --nocapture --exact differential::soak

faults: setup ## server, broker and Redis killed under load, again and again, each for SHIPWAY_FAULTS_SECONDS (default 600)
	cargo test --workspace --test integration -- --ignored --nocapture --test-threads 1 --exact streams::faults read_copy::faults

pulsar: setup ## the broker port over a real Pulsar, started from its packages (240 MB); SHIPWAY_TEST_PULSAR=pulsar://… uses another
	cargo test --workspace --test integration -- --ignored --nocapture pulsar::

bench: setup optimised ## ours against the peers, as ratios; BENCH="--full --only scaled" chooses
	$(python) bench/run.py --shipway $(optimised)/shipway $(BENCH)

# Our own crates fully optimised and without assertions, over the dependencies as they were built for the tests: a release profile of its
# own would build the engines a second time. The names of the development profile are taken, so the result is copied aside.
optimised: setup
	CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_OPT_LEVEL=3 CARGO_PROFILE_DEV_DEBUG_ASSERTIONS=false CARGO_PROFILE_DEV_OVERFLOW_CHECKS=false \
		cargo build --workspace --bins --examples
	mkdir -p $(optimised)/examples
	cp $(CARGO_TARGET_DIR)/debug/shipway $(CARGO_TARGET_DIR)/debug/shipway-mock-provider $(optimised)/
	cp $(CARGO_TARGET_DIR)/debug/examples/point_read $(optimised)/examples/

docs: build ## write the generated references under docs/
	$(shipway) reference write docs

# One selection of packages everywhere: another selection would resolve other features and build the dependencies anew.
build: setup
	cargo build --workspace

setup:
	@scripts/setup
