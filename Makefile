# make demo   set up, then start the page with the embedded model on http://127.0.0.1:7860
# make test   set up, then everything that needs no GPU, browser included
# make check  ruff and mypy
# make bench  what things cost here, printed as tables; those of reading go into BENCHMARKS.md

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 7860
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test check bench examples clean

demo: $(VENV)/.app
	$(BIN)/python app.py serve --port $(PORT)

test: $(VENV)/.dev $(VENV)/.chromium $(VENV)/.ffmpeg
	$(BIN)/python -m pytest -m "not gpu"

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python tools/benchmark.py
	$(BIN)/python tools/bench_reading.py --write
	$(BIN)/python tools/bench_store.py --write

examples: $(VENV)/.app
	$(BIN)/python tools/make_examples.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(BIN)/python:
	PYTHON="$(PYTHON)" sh tools/make_venv.sh $(VENV)

$(VENV)/.app: $(BIN)/python requirements.txt constraints.txt
	@echo "Installing what Framewise needs (torch among it: a few GB, some minutes, once) ..."
	$(PIP) --requirement requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.app requirements-dev.txt requirements-quantize.txt
	$(PIP) --requirement requirements-dev.txt
	@touch $@

$(VENV)/.chromium: $(VENV)/.dev
	sh tools/find_chromium.sh $(BIN) > $(VENV)/chromium.path
	@touch $@

$(VENV)/.ffmpeg: $(VENV)/.app
	sh tools/find_ffmpeg.sh $(BIN) > $(VENV)/ffmpeg.found
	@touch $@
