#!/bin/sh
# Makes .venv hold exactly the Python and the packages it should; says nothing when it does already.
set -eu
cd "$(dirname "$0")/.."

python=.venv/bin/python
stamp=.venv/installed

fail() {
    echo "pluto: $*" >&2
    exit 1
}

# A pyenv shim can be found and still not run, so each candidate has to prove itself.
find_python() {
    for candidate in python3.12 python3.11 python3 python3.13 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or 3.12 is needed, and none was found (try: sudo apt-get install python3.11 python3.11-venv)"
}

# plyvel has wheels for x86_64 Linux up to Python 3.12 only; elsewhere pip compiles it, and fails at length without this.
check_plyvel() {
    "$1" -c 'import platform, sys
libc = platform.libc_ver()[0] == "glibc"
sys.exit(not (libc and platform.machine() == "x86_64" and sys.version_info < (3, 13)))' && return
    include=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    printf '#include <leveldb/db.h>\n#include <Python.h>\n' | c++ -E -x c++ -I"$include" - >/dev/null 2>&1 ||
        fail "on this Python or processor plyvel is compiled, which needs LevelDB's headers and a compiler:" \
            "sudo apt-get install libleveldb-dev (and g++ python3-dev, if they are missing); then run make again"
}

# What is installed: which Python (an upgrade of the system's makes .venv useless), and which lock files.
state() {
    echo "$("$python" -VV) $(cat requirements.txt requirements-dev.txt | cksum)"
}

if "$python" -c '' 2>/dev/null && [ "$(cat "$stamp" 2>/dev/null)" = "$(state)" ]; then
    exit 0
fi

found=$(find_python)
check_plyvel "$found"
echo "pluto: installing into .venv with $("$found" -V), once; this takes a minute"
"$found" -m venv --clear .venv || fail "$found cannot make a virtual environment (try: sudo apt-get install python3-venv)"
"$python" -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-dev.txt
state >"$stamp"
