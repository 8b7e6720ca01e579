# Everything a reader or a developer types. `make` alone prints the list.
#
#   make course                  PYTHON=/path/to/python3.11 make course     to choose the interpreter
#   make course JOBS=1           one lesson at a time
#   make test ARGS="-k bound"    anything more for pytest

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PYTHON ?=
JOBS   ?= 2
ARGS   ?=
LESSON ?=
HANDINS ?=
CLASS ?=

# Lessons, recipes and students' copies: compared are the cells that ask for it. Solutions: every output.
# The lessons that train longest wait for `make test-slow`, with the copies, whose checks are the solutions'.
LONG      := $(sort $(wildcard $(addprefix notebooks/,$(addsuffix _*.ipynb,04b 07 08 10))))
LESSONS   := $(filter-out $(LONG),$(sort $(wildcard notebooks/[0-9][0-9]*_*.ipynb)))
COPIES    := $(sort $(wildcard notebooks/exercises/*/*.ipynb))
RECIPES   := $(sort $(wildcard notebooks/recipes/*.ipynb))
SOLUTIONS := $(sort $(wildcard notebooks/solutions/*/*.ipynb))

# A quiet TensorFlow, and Keras on TensorFlow whatever the user's keras.json says.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export GRPC_VERBOSITY ?= ERROR
export KERAS_BACKEND = tensorflow
export PYDEVD_DISABLE_FILE_VALIDATION = 1
export JUPYTER_PLATFORM_DIRS = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# For the targets that show nothing on a screen: figures without a display (the inline backend, in
# notebooks and tests alike), and Jupyter's own files inside the checkout, so that any HOME will do.
# JOBS processes share the machine, so each TensorFlow keeps to its part of the cores: with more
# threads they only wait for each other.
CORES = $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
THREADS = $(shell n=$$(( $(CORES) / $(JOBS) )); [ $$n -ge 1 ] && echo $$n || echo 1)
HEADLESS := course slides explorables test test-slow test-long mutants notebooks exercises grade
$(HEADLESS): export MPLBACKEND = module://matplotlib_inline.backend_inline
$(HEADLESS): export CVAE_TF_STATIC = 1
$(HEADLESS): export MPLCONFIGDIR = $(CURDIR)/build/matplotlib
$(HEADLESS): export IPYTHONDIR = $(CURDIR)/build/ipython
$(HEADLESS): export JUPYTER_CONFIG_DIR = $(CURDIR)/build/jupyter/config
$(HEADLESS): export JUPYTER_DATA_DIR = $(CURDIR)/build/jupyter/data
$(HEADLESS): export JUPYTER_RUNTIME_DIR = $(CURDIR)/build/jupyter/runtime
$(HEADLESS): export TF_NUM_INTRAOP_THREADS = $(THREADS)
$(HEADLESS): export TF_NUM_INTEROP_THREADS = $(THREADS)
$(HEADLESS): export OMP_NUM_THREADS = $(THREADS)
$(HEADLESS): export OPENBLAS_NUM_THREADS = $(THREADS)

# By file: a notebook's cells need their kernel. nbval runs every cell and compares the outputs of
# those that say NBVAL_CHECK_OUTPUT.
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
NBVAL  = --nbval-current-env --nbval-cell-timeout 300 --nbval-kernel-startup-timeout 180

.DEFAULT_GOAL := help
.PHONY: help course slides explorables test test-slow test-long mutants lab notebooks exercises students grade benchmark lint requirements clean distclean

help:
	@echo "make course       run lessons and recipes, and build the course to read: build/course/index.html"
	@echo "make slides       the decks of notebooks/decks with what the lessons have stored, and their PDFs: build/slides/ (LESSON=01)"
	@echo "make explorables  train the networks of the explorables anew and export them (ARGS=five)"
	@echo "make lab          open JupyterLab on a copy of the notebooks, lab/ (ARGS=--edit: on the originals)"
	@echo "make test         the library's tests; most lessons, and the solutions, against their stored outputs"
	@echo "make test-slow    the tests that take minutes; the other lessons, the recipes, the students' copies"
	@echo "make test-long    hours: sequences of calls, odd inputs, all pages, hand-ins and sketches, mutants of library, lessons, exercises"
	@echo "make mutants      mistakes put into the library that no test notices (minutes to hours)"
	@echo "make notebooks    re-run lessons and recipes from their twins, store outputs (LESSON=01, LESSON=counts)"
	@echo "make exercises    the same for the solutions, and the students' copies from them (LESSON=01)"
	@echo "make students     what students get, without answers: build/cvae-exercises.zip"
	@echo "make grade        LESSON=01 HANDINS=archive.zip CLASS=list.csv: collect, mend, grade, marks to import"
	@echo "make benchmark    speed beside Keras, PyTorch, JAX and Pyro (sets up the peers; 20 minutes)"
	@echo "make lint         ruff over the code and the lessons' text twins; mypy over the library"
	@echo "make requirements compile requirements.txt anew from pyproject.toml"
	@echo "make clean        remove what was built (distclean: .venv too)"
	@echo
	@echo "The first of them sets up .venv from requirements.txt; the others find it ready."

course: $(READY) | build
	@$(BIN)/python tools/course.py --jobs $(JOBS) $(ARGS)

slides: $(READY)
	@$(BIN)/python tools/slides.py $(LESSON) $(ARGS)

# Stored in 16 bits, with the project: docs/_static/explore/weights_NAME.js.
explorables: $(READY)
	@$(BIN)/python tools/explorables.py $(ARGS)

test: $(READY) | build
	$(PYTEST) $(NBVAL) --nbval-lax -m "not slow" tests $(LESSONS) $(ARGS)
	$(PYTEST) $(NBVAL) --nbval $(SOLUTIONS)

# pytest's 5 means that no test is marked slow, which is no failure.
test-slow: $(READY) | build
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow tests $(ARGS) || [ $$? -eq 5 ]
	$(PYTEST) $(NBVAL) --nbval-lax $(LONG) $(COPIES) $(RECIPES)

# In no CI: run it, and report it, before a change to the core is called done. SEQUENCES, FUZZ and
# MUTANTS say how much; SEED which.
SEQUENCES ?= 300
FUZZ ?= 3000
MUTANTS ?= 150
SEED ?= 1
test-long: $(READY) | build
	CVAE_TF_SEQUENCES=$(SEQUENCES) CVAE_TF_SEQUENCE_SEED=$(SEED) CVAE_TF_FUZZ=$(FUZZ) \
	CVAE_TF_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest -n $(JOBS) -s -m slow \
		tests/test_stateful.py tests/test_fuzz.py $(ARGS)
	CVAE_TF_ALL_PAGES=1 CVAE_TF_ALL_SKETCHES=1 CVAE_TF_ALL_GRADED=1 CVAE_TF_ALL_TERMS=1 \
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow tests/test_site.py \
		tests/test_group_projects.py tests/test_exercises.py tests/test_grading.py \
		tests/test_lessons_as_tests.py $(ARGS)
	@$(BIN)/python tools/mutants.py --jobs $(JOBS) --sample $(MUTANTS) --seed $(SEED)
	@$(BIN)/python tools/solution_mutants.py --jobs $(JOBS)

mutants: $(READY) | build
	@$(BIN)/python tools/mutants.py --jobs $(JOBS) $(ARGS)

lab: $(READY)
	@$(BIN)/python tools/lab.py $(ARGS)

notebooks: $(READY) | build
	@$(BIN)/python tools/sync.py $(LESSON) $(ARGS)

exercises: $(READY) | build
	@$(BIN)/python tools/exercises.py $(LESSON) $(ARGS)

students: $(READY) | build
	@$(BIN)/python tools/student_package.py $(ARGS)

grade: $(READY) | build
	@$(BIN)/python tools/grading.py $(or $(LESSON),--help) $(if $(HANDINS),"$(HANDINS)") \
		$(if $(CLASS),--class "$(CLASS)") --jobs $(JOBS) $(ARGS)

# The peers live in an environment of their own: benchmarks/requirements-peers.txt.
PEERS := .venv-peers
benchmark: $(READY) $(PEERS)/.ready
	@$(BIN)/python benchmarks/speed.py --peers $(PEERS)/bin/python $(ARGS)

$(PEERS)/.ready: benchmarks/requirements-peers.txt
	@$(FIND_PYTHON); \
	echo "Setting up $(PEERS) with PyTorch, JAX and Pyro: once, a few minutes ..."; \
	"$$python" -m venv $(PEERS); \
	$(PEERS)/bin/python -m pip install --quiet -r benchmarks/requirements-peers.txt; \
	touch $@

lint: $(READY)
	$(BIN)/ruff check cvae_tf tests tools benchmarks examples docs $(wildcard notebooks/text notebooks/projects)
	$(BIN)/mypy

# Once .venv is there only this target needs the network, and `benchmark` when it sets up its peers.
# It works apart from .venv, so that the course never runs on more than what requirements.txt names.
requirements:
	@$(FIND_PYTHON); \
	echo "Compiling requirements.txt from pyproject.toml ..."; \
	"$$python" -m venv build/pip-tools; \
	build/pip-tools/bin/python -m pip install --quiet "pip-tools>=7.5"; \
	CUSTOM_COMPILE_COMMAND="pip-compile --output-file=requirements.txt pyproject.toml" \
		build/pip-tools/bin/pip-compile --quiet --output-file=requirements.txt pyproject.toml $(ARGS)

build:
	@mkdir -p build

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache notebooks/.ipynb_checkpoints
	find cvae_tf tests tools notebooks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(PEERS)

# Sets $python, or says what is missing.
FIND_PYTHON = set -e; python=""; \
	for p in $(or $(PYTHON),python3.11 python3 python3.12 python3.13); do \
		if "$$p" -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" \
			2>/dev/null; then python="$$p"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11 (3.12, 3.13) among: $(or $(PYTHON),python3.11 python3 python3.12 python3.13)."; \
		echo "Install Python 3.11, or name one:  make course PYTHON=/path/to/python3.11"; \
		exit 1; \
	fi

# What TensorFlow's C++ prints on import goes to the terminal and not into the cells.
KERNEL_CONFIG = "c.IPKernelApp.capture_fd_output = False" "c.IPKernelApp.log_level = 40"

# The stamp is written last: an interrupted set-up is taken up again, a finished one is left alone.
# Where Python comes without ensurepip, the pip beside it installs one into .venv.
$(READY): requirements.txt pyproject.toml
	@$(FIND_PYTHON); \
	echo "Setting up .venv with $$("$$python" --version): once, two or three minutes," \
		"mostly TensorFlow's download ..."; \
	"$$python" -m venv $(VENV) >/dev/null 2>&1 || { \
		"$$python" -m venv --clear --without-pip $(VENV); \
		"$$python" -m pip --python $(BIN)/python install --quiet pip; }; \
	$(BIN)/python -m pip install --quiet -r requirements.txt; \
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .; \
	mkdir -p $(VENV)/etc/ipython; \
	printf '%s\n' $(KERNEL_CONFIG) > $(VENV)/etc/ipython/ipython_kernel_config.py; \
	touch $@; \
	echo ".venv is ready."
