# Two commands do everything, each with its own set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# Branch coverage of these is complete; that of the whole package is at least 95 %. The tests that are
# not measured take longer when they are, and what they run through others have.
UNMEASURED := tests/properties tests/dbt tests/browser tests/dagster_processes tests/dagster_ui
# Of the property tests, those that `make test` leaves to `make properties`.
LONGER := $(addprefix tests/properties/,test_cli_truth.py test_copies.py test_week.py)
PACKAGE := pytest_sqlmesh_tracker
empty :=
comma := ,
CORE := $(subst $(empty) ,$(comma),$(addsuffix /*,$(addprefix $(PACKAGE)/,outcomes models wording reports gate render)))

.PHONY: demo test lint types coverage processes ui compat neighbours properties truth truth-cli truth-dagster mutants mutants-dagster week bench schema reference startup clean

demo: $(VENV)/installed
	$(RUN)/python sample_projects/demo.py

test: lint types coverage

lint: $(VENV)/installed
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

types: $(VENV)/installed
	$(RUN)/mypy

coverage: $(VENV)/installed
	rm -f .coverage .coverage.*
	$(RUN)/coverage run -m pytest -n 2 -q $(addprefix --ignore=,$(UNMEASURED)) tests
	$(RUN)/python -m pytest -n 2 -q $(addprefix --ignore=,$(LONGER)) tests/properties tests/dbt sample_projects
	$(RUN)/python -m pytest -n 2 -q tests/browser
	$(RUN)/coverage combine -q
	$(RUN)/coverage report --fail-under=95
	$(RUN)/coverage report --include="$(CORE)" --fail-under=100

# Dagster in processes of its own: ended by signals, killed, several of them for one run.
processes: $(VENV)/installed
	$(RUN)/python -m pytest -n 2 -q tests/dagster_processes

# Dagster's web UI in a browser; with SQLMESH_TRACKER_SCREENSHOTS=folder, screenshots of it.
ui: $(VENV)/installed
	$(RUN)/python -m pip install --quiet --group ui
	SQLMESH_TRACKER_BROWSER=required $(RUN)/python -m pytest -q tests/dagster_ui

# The tests with each SQLMesh that is tried, from the oldest to the newest, and a table of results.
compat:
	$(PYTHON) tests/versions.py

# One of them: compat-oldest, compat-newest, compat-0.211.2.
compat-%:
	$(PYTHON) tests/versions.py $*

# Sessions that use nothing of this package, beside other plugins: the same as without it.
neighbours:
	$(PYTHON) -m venv .venv-neighbours
	.venv-neighbours/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-neighbours/bin/python -m pip install --quiet --editable ".[pytest]" --group neighbours
	.venv-neighbours/bin/python -m tests.neighbours

# What `make test` leaves out of the property tests: ten times as many drawn histories, the command
# line's run against Context.run, and a day of the due-only schedule.
properties: export SQLMESH_TRACKER_HISTORIES ?= 36
properties: export SQLMESH_TRACKER_DAGSTER_HISTORIES ?= 12
properties: $(VENV)/installed
	$(RUN)/python -m pytest -n 2 -q -k "not of_a_scene" tests/properties

# A thousand drawn histories against the witnesses; stopped, it goes on where it was.
truth: $(VENV)/installed
	$(RUN)/python -m tests.properties.truth --workers 2

# Sixty drawn histories: the command line's run against Context.run.
truth-cli: $(VENV)/installed
	SQLMESH_TRACKER_CLI_HISTORIES=60 $(RUN)/python -m pytest -n 2 -q tests/properties/test_cli_truth.py -rP

# Faulty trackers, each of which the scenes and drawn histories of `make properties` must find out.
mutants: $(VENV)/installed
	$(RUN)/python -m tests.properties.mutants --workers 2

# Two hundred drawn histories through Dagster against the witnesses; stopped, it goes on where it was.
truth-dagster: $(VENV)/installed
	$(RUN)/python -m tests.properties.truth --dagster --examples 200 --workers 2

# Faulty assets, each of which the scenes and drawn histories of `make properties` must find out.
mutants-dagster: $(VENV)/installed
	$(RUN)/python -m tests.properties.mutants --dagster --workers 2

# A week of the due-only schedule, hour by hour, against plain runs of SQLMesh at the same times.
week: $(VENV)/installed
	$(RUN)/python -m tests.properties.week

# What tracking costs: of runs, of reading reports, of console calls; and what sandboxes save.
bench: $(VENV)/installed
	$(RUN)/python -m benchmarks.overhead
	$(RUN)/python -m benchmarks.sandboxes
	$(RUN)/python -m benchmarks.dagster

# The JSON Schema of report files, after a change of their models.
schema: $(VENV)/installed
	$(RUN)/python -c "import json; from pytest_sqlmesh_tracker.reports.files import file_schema; print(json.dumps(file_schema(), indent=2))" > pytest_sqlmesh_tracker/reports/report.schema.json

# The reference, after a change of a public name, a docstring, an option or a marker.
reference: $(VENV)/installed
	$(RUN)/python -m docs.reference

# What loading the plugin adds to a session's start, interleaved with pytest alone.
startup: $(VENV)/installed
	$(RUN)/python benchmarks/startup.py

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(RUN)/python -m pip install --quiet --editable ".[pytest,dagster]" --group dev
	touch $@

clean:
	rm -rf $(VENV) .venv-compat .venv-neighbours .truth .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
