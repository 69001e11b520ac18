#!/bin/sh
# Run the tests that need a CUDA device: on a machine with torch, transformers, av and pytest;
# gradio and the plugins of the other tests are not needed.
set -eu
cd "$(dirname "$0")/.."
export PYTORCH_CUDA_ALLOC_CONF="${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}"  # as app.py
exec "${PYTHON:-python3}" -m pytest -o addopts="" -q -m gpu tests/gpu "$@"
