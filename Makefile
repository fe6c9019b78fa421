# Two commands do everything, each with its own set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# Each worker starts with one half of the tests, so that few templates are planned by both.
PYTEST := -m pytest -n 2 --dist worksteal -q
# What is rare or slow has targets of its own, which CI runs after `make test`.
RARE := $(addprefix tests/,adapters browser dbt dagster_distributed dagster_processes dagster_ui neighbours)
MARKED := documents or long or nightly or processes or variants
# Of the property tests, those that `make test` leaves to `make properties`.
LONGER := $(addprefix tests/properties/,test_cli_truth.py test_copies.py test_week.py)
# Branch coverage of these is complete; that of the whole package is at least 95 %.
CORE := outcomes models wording reports gate render
empty :=
comma := ,
COVERED := $(subst $(empty) ,$(comma),$(CORE:%=pytest_sqlmesh_tracker/%/*))

.PHONY: demo test lint types tests coverage rare histories browser dbt processes distributed ui compat neighbours engines properties truth truth-forecast truth-cli truth-dagster mutants mutants-dagster mutants-forecast week postgres postgres-short bench bench-history bench-scale killed-writers engines-bench schema reference docs dist clean-room user-types startup clean

demo: $(VENV)/installed
	$(RUN)/python sample_projects/demo.py

# The types are checked beside the tests. With MEASURE=1, as in CI, branch coverage is measured, and
# the property tests, which cover nothing else, are left to `make properties`.
test: $(VENV)/installed
	$(MAKE) --no-print-directory --jobs=2 lint types $(if $(MEASURE),coverage,tests)

lint: $(VENV)/installed
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

types: $(VENV)/installed
	$(RUN)/mypy

# Of the sample project with faults, one model.
SHORT_OF_HISTORIES := -k "not test_histories or trending"
SESSION := $(PYTEST) -m "not ($(MARKED))" $(addprefix --ignore=,$(RARE) $(LONGER)) tests
tests: $(VENV)/installed
	$(RUN)/python $(SESSION)

coverage: $(VENV)/installed
	rm -f .coverage .coverage.*
	$(RUN)/coverage run $(SESSION) --hypothesis-profile=measured --ignore=tests/properties
	$(RUN)/coverage combine -q
	$(RUN)/coverage report --fail-under=95
	$(RUN)/coverage report --include="$(COVERED)" --fail-under=100

# What `make test` leaves out; CI passes LESS="and not (long or nightly or variants)".
# Tests that start processes wait for them, so a third worker has time to run.
rare: $(VENV)/installed
	$(RUN)/python $(PYTEST) -n 3 -m "($(MARKED)) $(LESS)" $(addprefix --ignore=,$(RARE) tests/properties) tests
	$(RUN)/python $(PYTEST) $(SHORT_OF_HISTORIES) sample_projects tests/dbt tests/browser

# Ten faults of incremental models, which must be found, and the mended models, which must pass.
histories: $(VENV)/installed
	$(RUN)/python $(PYTEST) sample_projects/histories

# The report's page in chromium; projects of dbt.
browser dbt: $(VENV)/installed
	$(RUN)/python $(PYTEST) tests/$@

# Tests that start processes; Dagster ended by signals, killed, and with several processes for a run.
processes: $(VENV)/installed
	$(RUN)/python $(PYTEST) -m processes $(addprefix --ignore=,$(RARE) tests/properties) tests
	$(RUN)/python $(PYTEST) tests/dagster_processes

# Dagster in several processes with everything in PostgreSQL: four environments at once, killed runs.
distributed: $(VENV)/installed
	$(RUN)/python $(PYTEST) tests/dagster_distributed

# Dagster's web UI in a browser; with SQLMESH_TRACKER_SCREENSHOTS=folder, screenshots of it.
ui: $(VENV)/installed
	$(RUN)/python -m pip install --quiet --group ui
	SQLMESH_TRACKER_BROWSER=required $(RUN)/python -m pytest -q tests/dagster_ui

# The tests with each combination of SQLMesh, Dagster, pytest and Python that is supported; writes the
# table of docs/versions-and-cost.md.
compat:
	$(PYTHON) -m tests.versions

# One of them, in the short form of CI: compat-oldest, compat-newest, compat-0.211.2, ...
compat-%:
	$(PYTHON) -m tests.versions $*

# Whether releases that are newer than those of the table break something; to be run on a schedule.
compat-new:
	$(PYTHON) -m tests.versions.releases

# Sessions that use nothing of this package, beside other plugins: the same as without it.
neighbours:
	$(PYTHON) -m venv .venv-neighbours
	.venv-neighbours/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-neighbours/bin/python -m pip install --quiet --editable ".[pytest]" --group neighbours
	.venv-neighbours/bin/python -m tests.neighbours

# One scenario on DuckDB and on another engine, in an environment with pinned versions: ENGINE=bigquery,
# mysql, postgres, snowflake or spark. engines-bench: what tracking costs there.
ADAPTER := $(or $(ENGINE),postgres)
ENGINES := .venv-engines
BQEMULATOR := $(if $(filter bigquery,$(ADAPTER)),$(ENGINES)/bqemulator/installed)
engines: export SQLMESH_TRACKER_ADAPTER := $(ADAPTER)
engines: export SQLMESH_TRACKER_POSTGRES := required
engines engines-bench: export SQLMESH_TRACKER_BQEMULATOR := $(CURDIR)/$(ENGINES)/bqemulator/bin/python
engines: $(ENGINES)/$(ADAPTER)/installed $(BQEMULATOR)
	$(ENGINES)/$(ADAPTER)/bin/python -m pytest -q tests/adapters

engines-bench: $(ENGINES)/$(ADAPTER)/installed $(BQEMULATOR)
	$(ENGINES)/$(ADAPTER)/bin/python -m benchmarks.engines $(ADAPTER)

$(ENGINES)/%/installed: tests/adapters/requirements/%.txt pyproject.toml
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(@D)/bin/python -m pip install --quiet --requirement $<
	touch $@

# All property tests, with ten times as many drawn histories as in `make test`, the command line's run
# against Context.run, and a day of the due-only schedule.
properties: export SQLMESH_TRACKER_HISTORIES ?= 36
properties: export SQLMESH_TRACKER_DAGSTER_HISTORIES ?= 12
properties: $(VENV)/installed
	$(RUN)/python $(PYTEST) tests/properties

# The tests of tracking, of the command line, of Dagster and of adapters, and drawn histories, on
# PostgreSQL, then on DuckDB with SQLMesh's state on PostgreSQL. The server's programs are those of the
# wheel, or with SQLMESH_TRACKER_POSTGRES_PROGRAMS=machine those that are installed on the machine.
ON_SERVERS := $(addprefix tests/,tracking cli doctor/test_sqlmesh_contract.py)
WITH_SANDBOXES := $(addprefix tests/dagster/,automation events running)
WITH_STATE := SQLMESH_TRACKER_ENGINE=duckdb-with-state-in-postgres
WITH_ALL := SQLMESH_TRACKER_ENGINE=postgres
postgres: export SQLMESH_TRACKER_HISTORIES ?= 36
postgres: $(VENV)/installed
	$(WITH_ALL) $(RUN)/python $(PYTEST) $(ON_SERVERS)
	$(WITH_ALL) $(RUN)/python $(PYTEST) $(WITH_SANDBOXES)
	$(RUN)/python -m pytest -q tests/adapters
	$(WITH_ALL) $(RUN)/python $(PYTEST) tests/properties/test_truth.py
	$(WITH_STATE) $(RUN)/python $(PYTEST) $(ON_SERVERS)
	$(WITH_STATE) $(RUN)/python $(PYTEST) tests/properties/test_truth.py

# In short, as in CI: what is about servers, failures and reasons, and the scenes.
IN_SHORT := postgres errors/test_failures.py reasons/test_runs.py
ON_SERVERS_IN_SHORT := $(addprefix tests/tracking/,$(IN_SHORT)) tests/properties/test_truth.py
postgres-short: $(VENV)/installed
	$(WITH_ALL) $(RUN)/python $(PYTEST) -m "not (long or variants)" $(ON_SERVERS_IN_SHORT)
	$(WITH_STATE) $(RUN)/python $(PYTEST) tests/tracking/postgres

# A thousand drawn histories against the witnesses; stopped, it goes on where it was. With
# ENGINE=postgres or ENGINE=duckdb-with-state-in-postgres, on PostgreSQL.
truth: export SQLMESH_TRACKER_ENGINE ?= $(or $(ENGINE),duckdb)
truth: $(VENV)/installed
	$(RUN)/python -m tests.properties.truth --workers 2

# Forecasts of the runs after 300 drawn histories; 100 forecasts of drawn plans and the week after, which
# then take place. Stopped, it goes on where it was.
truth-forecast: $(VENV)/installed
	$(RUN)/python -m tests.properties.truth forecasts --examples 300 --workers 2
	$(RUN)/python -m tests.properties.truth local --examples 100 --workers 2

# Sixty drawn histories: the command line's run against Context.run.
truth-cli: $(VENV)/installed
	SQLMESH_TRACKER_CLI_HISTORIES=60 $(RUN)/python -m pytest -n 2 -q tests/properties/test_cli_truth.py -rP

# Faulty trackers, each of which the scenes and drawn histories of `make properties` must find out.
mutants: $(VENV)/installed
	$(RUN)/python -m tests.properties.mutants --workers 2

# Two hundred drawn histories through Dagster against the witnesses; stopped, it goes on where it was.
truth-dagster: $(VENV)/installed
	$(RUN)/python -m tests.properties.truth dagster --examples 200 --workers 2

# Faulty assets, each of which the scenes and drawn histories of `make properties` must find out.
mutants-dagster: $(VENV)/installed
	$(RUN)/python -m tests.properties.mutants --dagster --workers 2

# Forecasts by other rules than SQLMesh's, each of which drawn histories must find out.
mutants-forecast: $(VENV)/installed
	$(RUN)/python -m tests.properties.mutants --forecast --workers 2

# A week of the due-only schedule, hour by hour, against plain runs of SQLMesh at the same times.
week: $(VENV)/installed
	$(RUN)/python -m tests.properties.week

# What tracking costs: of runs, of reading reports, of console calls; and what sandboxes save.
bench: $(VENV)/installed
	$(RUN)/python -m benchmarks.overhead
	$(RUN)/python -m benchmarks.sandboxes
	$(RUN)/python -m benchmarks.dagster
	$(RUN)/python -m benchmarks.predictions

# How costs grow with the number of models, and the table in docs/versions-and-cost.md.
bench-scale: $(VENV)/installed
	$(RUN)/python -m benchmarks.scale

# What appending to a history file costs when it has a million outcomes.
bench-history: $(VENV)/installed
	$(RUN)/python -m benchmarks.history

# Four processes that append 200 reports each to one history file, and are killed at random.
killed-writers: $(VENV)/installed
	SQLMESH_TRACKER_APPENDED=200 $(RUN)/python -m pytest -q tests/history/test_killed_writers.py -rP

# The JSON Schema of report files, after a change of their models.
schema: $(VENV)/installed
	$(RUN)/python -c "import json; from pytest_sqlmesh_tracker.reports.files import file_schema; print(json.dumps(file_schema(), indent=2))" > pytest_sqlmesh_tracker/reports/report.schema.json

# The reference, after a change of a public name, a docstring, an option or a marker.
reference: $(VENV)/installed
	$(RUN)/python -m docs.reference

# The documentation as a site, in build/site; a link or an anchor without a target is an error.
# (With `--quiet`, MkDocs would not count them.)
docs: export NO_MKDOCS_2_WARNING := 1
docs: $(VENV)/installed
	$(RUN)/mkdocs build --strict

# The wheel and the source distribution, in dist, and whether they have what they must have.
dist: $(VENV)/installed
	rm -rf dist
	$(RUN)/python -m pip install --quiet --group release
	$(RUN)/python -m build
	$(RUN)/twine check --strict dist/*
	$(RUN)/python -m tests.release.distributions dist

# The wheel in empty environments, as strangers use it; with CLONE=1, also the README's two commands in
# a fresh clone of what is committed.
clean-room: dist
	$(RUN)/python -m tests.release.clean_room $(if $(CLONE),--clone) dist/*.whl

# A user's strictly typed tests and assets, checked with pyright and mypy.
user-types: $(VENV)/installed
	$(RUN)/python -m pytest -q tests/release/test_types.py

# What loading the plugin adds to a session's start, interleaved with pytest alone.
startup: $(VENV)/installed
	$(RUN)/python benchmarks/startup.py

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(RUN)/python -m pip install --quiet --editable ".[pytest,dagster,postgres]" --group dev
	touch $@

clean:
	rm -rf $(VENV) .venv-compat .venv-engines .venv-neighbours .truth .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
