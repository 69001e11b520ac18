#!/bin/sh
# Make a virtual environment, also on a Debian whose python3 came without the venv package.
set -eu
venv=$1
python=${PYTHON:-python3}

"$python" - <<'CHECK'
import sys
if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"Framewise needs Python 3.10 to 3.13, and this is {sys.version.split()[0]}. "
             "Name another one: make demo PYTHON=python3.12")
CHECK

if "$python" -m venv "$venv" >/dev/null 2>&1; then exit 0; fi
rm -rf "$venv"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    "$python" -m venv "$venv" && exit 0
fi
rm -rf "$venv"
if "$python" -m virtualenv "$venv" >/dev/null 2>&1; then exit 0; fi
if "$python" -m venv --without-pip "$venv" &&
    "$python" -m pip --python "$venv/bin/python" install --quiet pip; then exit 0; fi
rm -rf "$venv"
echo "$python cannot make virtual environments. Install them first: apt install python3-venv" >&2
exit 1
