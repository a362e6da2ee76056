#!/bin/sh
# Install the locked packages into .venv and build the web interface; print nothing if both are there already.
set -eu
cd "$(dirname "$0")/.."

python=.venv/bin/python
stamp=.venv/installed

fail() {
    echo "pluto: $*" >&2
    exit 1
}

# A pyenv shim can exist and still not run, so each candidate is executed.
find_python() {
    for candidate in python3.12 python3.11 python3 python3.13 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or 3.12 is needed but was not found (try: sudo apt-get install python3.11 python3.11-venv)"
}

# plyvel has wheels only for x86_64 Linux and Python up to 3.12. Elsewhere pip compiles it; without the headers of
# LevelDB it fails with a long compiler error, so check for them first.
check_plyvel_build() {
    "$1" -c 'import platform, sys
libc = platform.libc_ver()[0] == "glibc"
sys.exit(not (libc and platform.machine() == "x86_64" and sys.version_info < (3, 13)))' && return
    include=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    printf '#include <leveldb/db.h>\n#include <Python.h>\n' | c++ -E -x c++ -I"$include" - >/dev/null 2>&1 ||
        fail "plyvel has no wheel for this Python or processor; to compile it, the headers of LevelDB and a compiler" \
            "are needed: sudo apt-get install libleveldb-dev (and g++ python3-dev, if missing); then run make again"
}

# Print the version of Python, because an upgrade of the system's Python breaks .venv, and the checksum of the lock files.
print_state() {
    echo "$("$python" -VV) $(cat requirements.txt requirements-dev.txt | cksum)"
}

if "$python" -c '' 2>/dev/null && [ "$(cat "$stamp" 2>/dev/null)" = "$(print_state)" ]; then
    exec sh tools/web.sh
fi

found=$(find_python)
check_plyvel_build "$found"
echo "pluto: installing into .venv with $("$found" -V), only once; this takes a minute"
"$found" -m venv --clear .venv || fail "$found cannot make a virtual environment (try: sudo apt-get install python3-venv)"
"$python" -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-dev.txt
print_state >"$stamp"
exec sh tools/web.sh
