# Everything runs in .venv, which the first target that needs it makes. PYTHON names the interpreter it is made with.
.DEFAULT_GOAL := help
BIN := .venv/bin
ROWS ?= 2000
RUNS ?= 200

# The releases of Spark that are supported beside the locked one.
OTHER_SPARKS := 4.1.1

.PHONY: help demo test test-matrix faults campaign cluster providers screenshots pages wheel lint unit integration classic analytics connect notebooks e2e bench bench-all format lock clean

help:
	@echo "make demo         run ai_query over real text through the development gateway ($(ROWS) rows; ROWS=n)"
	@echo "make test         all checks and tests"
	@echo "make faults       batch jobs, streams, outages, interrupts, a drain that dies at each step (about 35 minutes); then"
	@echo "                  the ledger's fault campaign, $(RUNS) runs that go on where they stopped (about an hour; RUNS=n)"
	@echo "make cluster      ai_query on a standalone cluster of two hosts (about 2 minutes)"
	@echo "make providers    ai_query through a LiteLLM proxy and MLflow's AI gateway, which it installs (about 5 minutes)"
	@echo "make screenshots  the pictures of the usage dashboard in docs/images"
	@echo "make pages        run the notebooks, and write their pages in docs/notebooks (about 3 minutes)"
	@echo "make wheel        build the wheel, install it in an empty environment, and run the demo there (about 3 minutes)"
	@echo "make test-matrix  the Spark tests on the other supported releases of Spark ($(OTHER_SPARKS))"
	@echo "make bench        the benchmarks that matter most, each against its control in the same run (about 12 minutes)"
	@echo "make bench-all    all benchmarks, other packages and a million rows among them (about an hour and a half)"
	@echo "make lint         formatting, style, types, layers"
	@echo "make format       mend formatting and what ruff can mend"
	@echo "make lock         resolve requirements/*.txt anew from pyproject.toml"

demo:
	@scripts/setup.sh runtime
	@$(BIN)/gateway-batch demo --rows $(ROWS)

test: lint unit integration

lint:
	@scripts/setup.sh dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

unit:
	@scripts/setup.sh dev
	$(BIN)/python -m pytest tests/unit tests/property tests/devgateway tests/client

# Each job has a Spark session of its own, and alone keeps little more than one core busy: two run at a time.
integration:
	@scripts/setup.sh dev
	@$(MAKE) --no-print-directory --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) classic analytics connect notebooks e2e

classic:
	$(BIN)/python -m pytest tests/spark

analytics:
	$(BIN)/python -m pytest tests/analytics

connect:
	$(BIN)/python -m pytest tests/connect

notebooks:
	$(BIN)/python -m pytest tests/notebooks

# The notebooks' pages in docs/notebooks, with their output and pictures.
pages:
	@scripts/setup.sh dev
	PYTHONPATH=. $(BIN)/python scripts/write_notebooks.py

e2e:
	$(BIN)/python -m pytest tests/e2e

faults:
	@scripts/setup.sh dev
	$(BIN)/python -m pytest tests/faults
	@$(MAKE) --no-print-directory campaign

# A quarter of the runs are on a cluster of two hosts. Both parts run, whatever the first finds.
campaign:
	@scripts/setup.sh dev
	@status=0; on_cluster=$$(($(RUNS) / 4)); \
	$(BIN)/python -m tests.faults.campaign --where local --runs $$(($(RUNS) - on_cluster)) || status=$$?; \
	$(BIN)/python -m tests.faults.campaign --where cluster --runs $$on_cluster || status=$$?; exit $$status

screenshots:
	@scripts/setup.sh dev
	mkdir -p docs/images
	SCREENSHOTS=1 $(BIN)/python -m pytest tests/analytics/test_dashboard_page.py -k pictures

cluster:
	@scripts/setup.sh dev
	$(BIN)/python -m pytest tests/cluster

providers:
	@scripts/setup.sh dev
	@scripts/providers.sh
	$(BIN)/python -m pytest tests/providers

wheel:
	@scripts/wheel.sh

test-matrix:
	@scripts/setup.sh dev
	@for version in $(OTHER_SPARKS); do scripts/matrix.sh $$version || exit 1; done

bench:
	@scripts/setup.sh dev
	@status=0; for run in "throughput cpu_per_row throughput_wide pay_once cold_start" "ledger_overhead --rows 10000"; do \
		$(BIN)/python -m benchmarks $$run || status=$$?; done; exit $$status

bench-all:
	@scripts/setup.sh dev
	@status=0; for run in "throughput cpu_per_row throughput_wide throughput_heavy_tail pay_once ledger_overhead" \
		"drain freshness cold_start rate_limit usage_dashboard" "memory --rows 1000000" batch_job peers; do \
		$(BIN)/python -m benchmarks $$run || status=$$?; done; exit $$status

format:
	@scripts/setup.sh dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:
	@scripts/lock.sh

clean:
	rm -rf .venv .tools .venv-spark-* build dist demo spark-warehouse artifacts .mypy_cache .pytest_cache .ruff_cache
