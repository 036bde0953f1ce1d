# What a newcomer needs: `make demo` and `make test`. README.md says what they do.
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo test lint format docs constraints flink kafka clean

help:
	@echo "make demo         real records -> training -> published scores and a report, below demo/"
	@echo "                  (ARGS=--generated: on generated records, nothing is downloaded)"
	@echo "make test         style, types and tests (SLOW=1: those of over a minute too, as CI does)"
	@echo "make lint         style and types only"
	@echo "make format       formats the code"
	@echo "make docs         builds the documentation into site/; a warning or a broken link fails"
	@echo "make constraints  writes constraints.txt from what is installed"
	@echo "make flink        starts a Flink cluster on this machine (JDK 17, Maven); triad flink down"
	@echo "make kafka        starts a Kafka broker on this machine (Java 17, Maven); triad kafka down"
	@echo "make clean        removes $(VENV), demo/ and all caches"

demo: $(INSTALLED)
	@$(BIN)/python examples/demo.py $(ARGS)

# The tests of a file stay together, so that costly fixtures are made once a file. Three processes, also
# on two processors, because many tests wait for child processes.
# Each process would compile the code again where Python writes no files of its own.
test: lint
	$(BIN)/python -m compileall -q pipelines model transforms examples
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(if $(SLOW),,-m "not slow")

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir site

# Not of a fresh environment: it is how the constraints are moved (CONTRIBUTING.md).
constraints:
	$(BIN)/python -m pip freeze --all --exclude-editable --exclude triad-ml --exclude pip \
	  > constraints.txt.tmp
	echo "# Exact versions of the whole tree, written by make constraints." > constraints.txt
	LC_ALL=C sort -f constraints.txt.tmp >> constraints.txt
	rm constraints.txt.tmp

flink: $(INSTALLED)
	@$(BIN)/triad flink up

kafka: $(INSTALLED)
	@$(BIN)/triad kafka up

clean:
	rm -rf $(VENV) demo site build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache \
	  .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Built once for each change of what is to be installed. Build tools come from the constraints too:
# nothing is built in an environment of other versions.
$(INSTALLED): constraints.txt pyproject.toml setup.py
	@set -e; \
	if ! $(BIN)/python -m pip --version > /dev/null 2>&1; then \
	  python=; \
	  for candidate in python3.11 python3 python; do \
	    if $$candidate -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2> /dev/null; \
	    then python=$$candidate; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "Python 3.11 is needed, and neither python3.11 nor python3 is that version." >&2; \
	    echo "On Debian 12 and Ubuntu: apt-get install python3.11 python3.11-venv" >&2; exit 1; \
	  fi; \
	  if ! $$python -c 'import ensurepip' 2> /dev/null; then \
	    echo "$$python cannot make a virtual environment: its ensurepip is missing." >&2; \
	    echo "On Debian and Ubuntu: apt-get install python3.11-venv" >&2; exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$($$python --version)"; \
	  $$python -m venv $(VENV); \
	fi
	$(BIN)/python -m pip install -c constraints.txt setuptools wheel
	$(BIN)/python -m pip install -c constraints.txt --use-pep517 seqeval  # its build needs isolation
	$(BIN)/python -m pip install -c constraints.txt --no-build-isolation --no-compile \
	  -e '.[dev,streams,search,sign,transfer]'
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # pip compiles on one processor alone
	touch $@
