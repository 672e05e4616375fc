# The two commands of the README are `make demo` and `make test`; each makes what it needs and is enough by itself.
# PYTHON chooses the interpreter (3.11 or later), VENV the folder of the virtual environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
STUBS := $(subst /,.,$(patsubst src/%.pyi,%,$(shell find src -name '*.pyi')))
SOURCES := setup.py pyproject.toml $(shell find csrc src -name '*.[ch]' -o -name '*.inc' -o -name '*.py' -o -name '*.py[xdi]')

.PHONY: demo test test-slow test-peers prove prove-release bench bench-kernels sanitize lint format golden reference sdist wheel
.PHONY: wheels fuzz memcheck emulated clean

demo: $(VENV)/demo.stamp  ## train the book's spiral, with a progress bar and a picture
	$(BIN)/fastnn train

test: $(VENV)/test.stamp  ## the whole suite but the slow proofs
	$(BIN)/python -m pytest

test-slow: $(VENV)/test.stamp  ## the long proofs: every float32 input of every vector function, long fuzzing
	$(BIN)/python -m pytest -m slow

# PEERS_FROM: options for pip. PyTorch's wheels for Linux bring a GPU's libraries; those for the CPU alone are a tenth of them:
# make test-peers PEERS_FROM='--extra-index-url <the CPU index that pytorch.org names>'
test-peers: $(VENV)/peers.stamp  ## results against other libraries, in float64
	$(BIN)/python -m pytest tests/peers 'tests/test_examples.py::test_example[serve.py]'

# Wants gcc, clang and valgrind, and what tests/emulation/setup.sh has set up, in build/emulation or where FASTNN_EMULATION
# says.
prove: $(VENV)/prove.stamp  ## every promise in full, an hour at most; writes docs/guarantees.md
	$(BIN)/python tests/guarantees/prove.py

emulated: $(VENV)/test.stamp  ## the whole suite in an emulated arm64 CPython (tests/emulation/README.md), an hour and more
	$(BIN)/python tests/guarantees/elsewhere.py

prove-release: $(VENV)/prove.stamp  ## the same with fifty million mutants and every size and float32: a night
	FASTNN_PROVE=release $(BIN)/python tests/guarantees/prove.py

# BENCH=--quick takes 2 minutes instead of 12. Peers that are not installed are left out; those of the machine's choice go
# into the environment first, say: .venv/bin/pip install scikit-learn jax onnx onnxruntime
# and: .venv/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu
bench: $(VENV)/bench.stamp  ## the benchmark suite against all peers that are installed; writes docs/benchmarks.md
	$(BIN)/python benchmarks/run.py $(BENCH)

bench-kernels: $(VENV)/bench.stamp  ## every kernel against plain NumPy, on one core, with pytest-benchmark
	taskset -c 0 $(BIN)/python -m pytest benchmarks -m ''

golden: $(VENV)/test.stamp  ## write tests/golden.json again; a change of it is a change of the bit contract; files of what is new
	$(BIN)/python tests/make_golden.py
	$(BIN)/python tests/make_files.py

reference: $(VENV)/test.stamp  ## write docs/reference again, pages and pictures
	$(BIN)/python tools/make_reference.py

# Address and undefined-behaviour sanitizers over C and Cython. The interpreter itself is not instrumented, so the runtime
# is preloaded; leaks are the interpreter's own, and not looked at. SANITIZE=tests/test_dense.py for some of it.
sanitize: $(VENV)/sanitize.stamp
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so)" PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 FASTNN_SANITIZED=1 \
	$(VENV)-sanitize/bin/python -m pytest -x -q $(SANITIZE)

# Coverage-guided fuzzing, by atheris (wheels for Linux on x86-64, CPython 3.11 and later), each target in turn. FUZZ="onnx csv"
# chooses, FUZZ_SECONDS says how long each; what is found lies in build/fuzz/<target>/. See tests/fuzz/README.md.
FUZZ ?= model onnx csv npz
FUZZ_SECONDS ?= 300
fuzz: $(VENV)/fuzz.stamp  ## look for files that are loaded or refused otherwise than is promised
	for target in $(FUZZ); do $(BIN)/python tests/fuzz/fuzz_$$target.py --seconds $(FUZZ_SECONDS) || exit 1; done

memcheck: $(VENV)/test.stamp  ## kernels and a training under valgrind, which has to be there: some ten minutes
	$(BIN)/python tests/c/run_memcheck.py

lint: $(VENV)/dev.stamp  ## what pre-commit and CI check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/stubtest --ignore-missing-stub --ignore-disjoint-bases $(STUBS)
	PATH="$(BIN):$$PATH" cython-lint src  # it calls pycodestyle
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'csrc/*.[ch]' 'csrc/*.inc' 'tests/c/*.[ch]')

format: $(VENV)/dev.stamp  ## let the formatters have their way
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files 'csrc/*.[ch]' 'csrc/*.inc' 'tests/c/*.[ch]')

sdist wheel: $(VENV)/dev.stamp  ## into dist/; the wheel is built from the sdist
	$(BIN)/python -m build

# WHEELS: interpreters and options of tools/build_wheels.py, say: make wheels WHEELS='python3.13 --once'
wheels: $(VENV)/dev.stamp  ## a wheel and its SBOM for every CPython found, built twice, audited, installed, tested
	$(BIN)/python tools/build_wheels.py $(WHEELS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "fastnn needs Python 3.11 or later; choose one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: $(VENV)/bin/python $(SOURCES)
	$(PIP) install '.[cli,plot]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/bin/python $(SOURCES)
	$(PIP) install '.[test]'
	@touch $@

$(VENV)/fuzz.stamp: $(VENV)/bin/python $(SOURCES)
	$(PIP) install -e '.[test,fuzz]'
	@touch $@

$(VENV)/peers.stamp: $(VENV)/bin/python $(SOURCES)
	$(PIP) install $(PEERS_FROM) '.[test,peers]'
	@touch $@

$(VENV)/bench.stamp: $(VENV)/bin/python $(SOURCES)
	$(PIP) install '.[bench,plot]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/bin/python $(SOURCES)
	$(PIP) install '.[dev,test]'
	@touch $@

$(VENV)/prove.stamp: $(VENV)/bin/python $(SOURCES)
	$(PIP) install '.[dev,test,fuzz]'
	@touch $@

$(VENV)/sanitize.stamp: $(VENV)/bin/python $(SOURCES)
	$(PYTHON) -m venv $(VENV)-sanitize
	FASTNN_SANITIZE=1 $(VENV)-sanitize/bin/python -m pip --disable-pip-version-check -q install '.[test]'
	@touch $@

clean:
	rm -rf build dist src/*.egg-info $(VENV) $(VENV)-sanitize
	find src -name '*.so' -delete
