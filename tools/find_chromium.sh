#!/bin/sh
# Print the path of a Chromium for the browser tests: one that is there, or else install one.
set -eu
bin=$1

find_one() {
    for name in chromium chromium-browser google-chrome; do
        if command -v "$name" >/dev/null; then command -v "$name"; return 0; fi
    done
    "$bin/python" - <<'ASK'
import pathlib, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    path = playwright.chromium.executable_path
print(path) if pathlib.Path(path).exists() else sys.exit(1)
ASK
}

find_one && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq chromium; } >&2 || true
    find_one && exit 0
fi
"$bin/python" -m playwright install chromium >&2
find_one
