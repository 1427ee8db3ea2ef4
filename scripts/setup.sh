#!/bin/sh
# Finds a Python that can set up the rest (3.11 or newer, with venv) and hands over to it.
# Only this file may assume no more than a POSIX shell; it is silent when there is nothing to do.
set -eu
cd "$(dirname "$0")/.."

# A name on PATH proves nothing (pyenv puts stubs there), so each candidate is run.
works() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif ! command -v sudo >/dev/null 2>&1; then return 1
    elif [ -t 0 ]; then sudo "$@"
    else sudo -n "$@"
    fi
}

# Debian and Ubuntu ship Python without venv; it is one package away.
install_venv() {
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "setup: installing python$version-venv ..."
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y "python$version-venv" >/dev/null 2>&1 ||
        { as_root apt-get update >/dev/null 2>&1 &&
            as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y "python$version-venv" >/dev/null 2>&1; }
}

python=
bare=
for name in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
    works "$name" || continue
    if has_venv "$name"; then python=$name; break; fi
    [ -n "$bare" ] || bare=$name
done
if [ -z "$python" ] && [ -n "$bare" ]; then
    if command -v apt-get >/dev/null 2>&1 && install_venv "$bare" && has_venv "$bare"; then
        python=$bare
    else
        echo "setup: $bare has no venv module: install it (Debian: apt-get install python3-venv) and run make again" >&2
        exit 2
    fi
fi
if [ -z "$python" ]; then
    echo "setup: no Python 3.11 or newer on PATH: install one (Debian: apt-get install python3 python3-venv, macOS: brew install python@3.12) or name it with PYTHON=/path/to/python3 make" >&2
    exit 2
fi
exec "$python" -B -m scripts.setup "$@"
