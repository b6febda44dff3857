# Everything runs in .venv, which the first target that needs it makes. PYTHON names the interpreter it is made with.
.DEFAULT_GOAL := help
BIN := .venv/bin
ROWS ?= 2000
RUNS ?= 200

# Installing compiles no module: Python does it at the first import, and keeps what it made, whatever the environment
# says. Without, each of a few hundred processes, Spark's workers among them, takes three seconds of a core to import.
export PYTHONDONTWRITEBYTECODE :=

# The releases of Spark that are supported beside the locked one.
OTHER_SPARKS := 4.1.1

# The parts of `make test`, the longest first. Each is a process of its own, most with a Spark session, which keeps a
# core busy but for what it waits for: on two cores four run at a time.
TESTED := jobs spark pages analytics connect lint unit client docs
# Those of tests/spark that are about queries and their plans.
PLANS := $(addprefix tests/spark/test_,columns.py conformance.py plans.py query_shapes.py random_queries.py)
PYTEST := TEST_TIMES=$(CURDIR)/build/test-times $(BIN)/python -m pytest -m "not nightly"
AT_A_TIME := 4
TOGETHER := $(MAKE) --no-print-directory --keep-going --jobs=$(AT_A_TIME) $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: help demo demo-local test quick nightly repeats mutants coverage test-matrix faults first-flush campaign cluster providers screenshots notebooks wheel docs lint unit client spark jobs analytics connect pages smoke setup archive bench bench-all format lock clean

help:
	@echo "make demo         run ai_query over real text through the development gateway ($(ROWS) rows; ROWS=n)"
	@echo "make demo-local   ten rows of it with small real models on this machine, of the extra 'local' (3 minutes when new)"
	@echo "make test         all checks that a change may break"
	@echo "make quick        the checks without Spark, and one query through it (3 minutes)"
	@echo "make nightly      the repeats and long runs below, one after the other (many hours); goes on where it was cut off"
	@echo "make repeats      the tests' repeats that make test leaves out"
	@echo "make mutants      40 faults in the code, one at a time: the tests find each"
	@echo "make faults       batch jobs, streams, outages, interrupts, a drain that dies at each step (about 35 minutes)"
	@echo "make first-flush  a hundred drivers that die while they make the usage tables (an hour)"
	@echo "make campaign     the ledger's fault campaign, $(RUNS) runs that go on where they stopped (2 hours; RUNS=n)"
	@echo "make cluster      ai_query on a standalone cluster of two hosts (about 2 minutes)"
	@echo "make providers    ai_query through a LiteLLM proxy and MLflow's AI gateway, which it installs (about 5 minutes)"
	@echo "make test-matrix  the Spark tests on the other supported releases of Spark ($(OTHER_SPARKS))"
	@echo "make coverage     line and branch coverage of make test, workers and other child processes included"
	@echo "make screenshots  the pictures of the usage dashboard and of a terminal in docs/images"
	@echo "make notebooks    run the notebooks, and write their pages in docs/notebooks (about 3 minutes)"
	@echo "make docs         build the site of the documentation in build/site; a broken link or anchor fails it"
	@echo "make wheel        build the wheel, install it in an empty environment, and run the demo there (about 3 minutes)"
	@echo "make bench        the benchmarks that matter most, each against its control in the same run (about 12 minutes)"
	@echo "make bench-all    all benchmarks, other packages and a million rows among them (about an hour and a half)"
	@echo "make lint         formatting, style, types, layers"
	@echo "make format       mend formatting and what ruff can mend"
	@echo "make lock         resolve requirements/*.txt anew from pyproject.toml"

demo:
	@scripts/setup.sh runtime
	@$(BIN)/gateway-batch demo --rows $(ROWS)

demo-local:
	@scripts/setup.sh local
	@$(BIN)/gateway-batch demo --models local

test: setup
	@rm -rf build/test-times
	@$(TOGETHER) $(TESTED)
	@$(BIN)/python -m tests.slowest build/test-times

quick: setup
	@$(TOGETHER) smoke unit client lint

setup:
	@scripts/setup.sh dev

archive: setup
	@scripts/class_archive.sh

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

unit: setup
	$(PYTEST) tests/unit

client: setup
	$(PYTEST) tests/client tests/devgateway tests/property

spark: archive
	$(PYTEST) tests/spark $(addprefix --ignore=,$(PLANS))

# With the tests of plans, as both have the same session.
jobs: archive
	$(PYTEST) $(PLANS) tests/jobs

analytics: archive
	$(PYTEST) tests/analytics

# A process is either a classic one or a Spark Connect one to pyspark.
connect: archive
	$(PYTEST) tests/connect

# Commands, and the code of README, docs and notebooks.
pages: archive
	$(PYTEST) tests/e2e tests/notebooks

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

smoke: archive
	$(PYTEST) tests/spark/test_ledger.py::test_flush_commits_each_request_once

# Each part runs, whatever the others find.
nightly: archive
	@scripts/nightly.sh repeats mutants cluster faults first-flush campaign test-matrix providers wheel bench-all

repeats: archive
	@status=0; for folder in unit property devgateway client spark jobs analytics connect e2e; do \
		$(BIN)/python -m pytest -m nightly tests/$$folder || [ $$? = 5 ] || status=1; done; exit $$status

mutants: archive
	$(BIN)/python -m tests.mutants

faults: archive
	$(BIN)/python -m pytest tests/faults

first-flush: archive
	$(BIN)/python -m tests.faults.first_flush

# A quarter of the runs are on a cluster of two hosts. All parts run.
campaign: archive
	@status=0; on_cluster=$$(($(RUNS) / 4)); \
	$(BIN)/python -m tests.faults.campaign --where local --runs $$(($(RUNS) - on_cluster)) || status=$$?; \
	$(BIN)/python -m tests.faults.campaign --where cluster --runs $$on_cluster || status=$$?; exit $$status

cluster: archive
	$(BIN)/python -m pytest tests/cluster

providers: archive
	@scripts/providers.sh
	$(BIN)/python -m pytest tests/providers

wheel:
	@scripts/wheel.sh

test-matrix: setup
	@for version in $(OTHER_SPARKS); do scripts/matrix.sh $$version || exit 1; done

coverage: archive
	@AT_A_TIME=$(AT_A_TIME) scripts/coverage.sh $(TESTED)

screenshots: archive
	mkdir -p docs/images
	SCREENSHOTS=1 $(BIN)/python -m pytest tests/analytics/test_dashboard_page.py -k pictures
	$(BIN)/python scripts/write_terminal_picture.py

# The notebooks' pages in docs/notebooks, with their output and pictures.
notebooks: archive
	PYTHONPATH=. $(BIN)/python scripts/write_notebooks.py

bench: setup
	@status=0; for run in "throughput cpu_per_row throughput_wide pay_once cold_start" "ledger_overhead --rows 10000"; do \
		$(BIN)/python -m benchmarks $$run || status=$$?; done; exit $$status

bench-all: setup
	@status=0; for run in "throughput cpu_per_row throughput_wide throughput_heavy_tail pay_once fewest_requests ledger_overhead transports pandas_accessor hostile_answers" \
		"drain freshness cold_start rate_limit refusals usage_dashboard" "memory --rows 1000000" batch_job peers; do \
		$(BIN)/python -m benchmarks $$run || status=$$?; done; exit $$status

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:
	@scripts/lock.sh

clean:
	rm -rf .venv .tools .venv-spark-* build dist demo spark-warehouse artifacts .mypy_cache .pytest_cache .ruff_cache
