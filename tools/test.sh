#!/bin/sh
# The tests in four processes side by side, a few files at a time: they wait for sockets more than they compute.
# Prints what each process said, last the sum, and fails if one of them did.
set -u
cd "$(dirname "$0")/.."

logs=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM

# Those that take longest first, so that none is left for the end, when the others have nothing to do any more; and
# neighbours in the alphabet, which take long together, apart.
files=$(find tests -name 'test_*.py' -not -path 'tests/e2e/*' -not -path 'tests/endurance/*' | sort)
long=$(echo "$files" | grep component/ | awk '{ print NR % 6, $0 }' | sort -s -n -k 1,1 | cut -d ' ' -f 2)
short=$(echo "$files" | grep -v component/)

# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\n%s\n' "$long" "$short" |
    logs=$logs options="$*" xargs -P 4 -n 8 sh -c '.venv/bin/python -m pytest $options "$@" >"$logs/$$" 2>&1' sh &
wait $!
failed=$?
cat "$logs"/*

# What pytest's own closing lines say, added up, in the form in which it says it.
count() {
    grep -hoE "^[0-9].* in [0-9.]+s" "$logs"/* | grep -oE "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'
}
echo "$(count passed) passed, $(($(count failed) + $(count error))) failed"
exit $failed
