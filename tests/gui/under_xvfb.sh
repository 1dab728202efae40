#!/usr/bin/env bash
# under_xvfb.sh PROGRAM ARGS: runs it on an X server of its own with a window manager; 77 (skipped) where there is none.
set -euo pipefail
for tool in xvfb-run openbox xdotool; do
    command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed (./dev test installs it)"; exit 77; }
done
export QT_QPA_PLATFORM=xcb
exec xvfb-run -a -s "-screen 0 1280x800x24" bash -c 'openbox & sleep 1; "$@"' _ "$@"
