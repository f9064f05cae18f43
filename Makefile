# Everything runs inside .venv, made on first use; nothing outside this folder is changed.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
OUT    ?= runs/quickstart
# Says what a step does and how long it took, here and in the log.
LOG    ?= build/make.log
STEP   := tools/step.sh $(LOG)

.PHONY: install quickstart test test-slow lint clean

quickstart: $(READY)
	$(BIN)/python -m slimdp quickstart --out $(OUT)

test: $(READY) lint
	@$(STEP) "testing" $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow"

test-slow: $(READY)
	@$(STEP) "slow tests" $(BIN)/python -m pytest -m slow --timeout 3600

lint: $(READY)
	@$(STEP) "linting" $(BIN)/ruff check .
	@$(STEP) "looking at the format" $(BIN)/ruff format --check .
	@$(STEP) "checking types" $(BIN)/mypy
	@$(STEP) "checking layers" $(BIN)/lint-imports

install: $(READY)

$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "slimdp needs Python 3.10 or later; choose one with: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(STEP) "making $(VENV)" $(PYTHON) -m venv $(VENV)
	@$(STEP) "updating pip" $(BIN)/python -m pip install --upgrade pip
	@$(STEP) "installing slimdp and what it needs" $(BIN)/python -m pip install -e ".[dev]"
	@# opencv-python may need libGL, which a machine without a desktop lacks; its headless twin does not.
	@$(BIN)/python -c "import cv2" || \
		($(BIN)/python -m pip uninstall -y opencv-python && $(BIN)/python -m pip install opencv-python-headless)
	@touch $(READY)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
