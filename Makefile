# Both `make demo` and `make test` start from nothing and do only what is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := .venv-demo/bin
# Not tensorrt and jetson: no test installs them, and they come with the GPU's own CUDA.
PINNED_EXTRAS := $(foreach extra,cpu realsense web flash export train data report dev,--extra $(extra))

.PHONY: help demo test test-all lint setup demo-setup demo-model demo-flash coverage docs constraints plugin-proof clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo         install the board path (no torch) and play the simulated episodes into demo_out/'
	@echo 'make test         install everything, then linters, types and the default tests'
	@echo 'make test-all     the same with the slow tests (some need the network)'
	@echo 'make demo-model   train, quantise and pack the shipped demo model again'
	@echo 'make demo-flash   flash signed bundles onto two boards on this machine (needs sshd: apt install openssh-server)'
	@echo 'make coverage     default tests with branch coverage'
	@echo 'make plugin-proof TENSORRT_INCLUDE_DIR="DIR ..."  load the TensorRT plugins into the real lean runtimes (network, no GPU)'
	@echo 'make docs         build the documentation site into site/'
	@echo 'make constraints  resolve the pinned versions again (network)'
	@echo 'make clean        remove the environments and everything built'

demo: demo-setup
	@$(DEMO)/python -m edgefas.demo.run --out demo_out

demo-setup:
	@$(PYTHON) scripts/setup_venv.py .venv-demo cpu,realsense
	@$(DEMO)/python -c 'import importlib.util as i; assert not i.find_spec("torch"), "torch is in the board path"'

setup:
	@$(PYTHON) scripts/setup_venv.py $(VENV) cpu,realsense,web,flash,export,train,data,report,dev --wheelhouse

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p edgefas

# Two at a time, each file in one process: its fixtures are made once. In order: the files with few tests are the long
# ones, and should not come last.
TOGETHER := -n 2 --dist loadfile --no-loadscope-reorder

# pytest comes last: its summary is the last line.
test: lint
	$(BIN)/python -m pytest -q $(TOGETHER) -m 'not slow'

test-all: lint
	$(BIN)/python -m pytest -q $(TOGETHER)

demo-model: setup
	$(BIN)/python -m edgefas.demo.make

demo-flash: setup
	$(BIN)/python -m edgefas.demo.flash

coverage: setup
	$(BIN)/python -m coverage run -m pytest -q -m 'not slow'
	$(BIN)/python -m coverage report

docs: setup
	$(BIN)/python -m pip install --quiet 'mkdocs-material>=9.5'
	$(BIN)/python -m mkdocs build --strict

# One file for all Pythons: uv writes the markers. CUDA is left out (no test needs it), and so are Windows' packages.
# torch: the newest with CPU wheels for Python 3.10 to 3.12 that was tested; numpy 2.5 has no Python 3.11.
constraints: setup
	$(BIN)/python -m pip install --quiet uv
	printf 'torch==2.13.0\nnumpy<2.5\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.10 \
	  --no-annotate --no-header $(PINNED_EXTRAS) setup.cfg --constraints /dev/stdin \
	  | grep -vE '^(nvidia-|cuda-|triton|colorama|pyreadline3)' > constraints.new
	(echo '# Exact versions for every supported Python; made by `make constraints`.'; cat constraints.new) > constraints.txt
	rm constraints.new

# DIR: the folder of NvInfer.h of one TensorRT release; several make one proof.
plugin-proof: setup
	@$(BIN)/python -m edgefas.engines.plugins.proof $(TENSORRT_INCLUDE_DIR)

clean:
	rm -rf .venv .venv-demo .cache build dist site demo_out .mypy_cache .ruff_cache .pytest_cache .coverage
