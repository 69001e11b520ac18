#!/bin/sh
# Print the version of the FFmpeg libraries that torchcodec has found: installed ones, or else those
# that apt-get installs. Nothing is printed where there are none; then the tests leave it out.
set -eu
bin=$1

find_them() {
    "$bin/python" - <<'ASK'
from core.errors import SettingsError
from core.video.torchcodec import load

try:
    load()
except SettingsError:
    raise SystemExit(1)
import torchcodec

print(torchcodec.ffmpeg_major_version)
ASK
}

find_them && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; } >&2 || true
    find_them && exit 0
fi
echo "There are no FFmpeg libraries for torchcodec here: it is not tested." >&2
