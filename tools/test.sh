#!/bin/sh
# Run the tests in four processes, eight files at a time, because they wait for sockets more than they compute.
# Print the output of each process, then the totals, and fail if one of the processes failed.
set -u
cd "$(dirname "$0")/.."

logs=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM

# The component tests take longest and go first, so that no process waits at the end for one of them. Files next to
# each other in the alphabet are often slow together, so they are distributed over several processes.
files=$(find tests -name 'test_*.py' -not -path 'tests/e2e/*' -not -path 'tests/endurance/*' | sort)
slow=$(echo "$files" | grep component/ | awk '{ print NR % 6, $0 }' | sort -s -n -k 1,1 | cut -d ' ' -f 2)
fast=$(echo "$files" | grep -v component/)

# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\n%s\n' "$slow" "$fast" |
    logs=$logs options="$*" xargs -P 4 -n 8 sh -c '.venv/bin/python -m pytest $options "$@" >"$logs/$$" 2>&1' sh &
wait $!
failed=$?
# Without a bundle there are no tools for web/ either, and `make test` has said why; `make lint types` fails then.
[ ! -e app/static ] || sh tools/web.sh test >"$logs/web" 2>&1 || failed=1
cat "$logs"/*

# Print the sum of one figure (passed, failed, error) of pytest's last lines. The output has the same form as theirs.
sum_results() {
    grep -hoE "^[0-9].* in [0-9.]+s" "$logs"/* | grep -oE "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'
}
echo "$(sum_results passed) passed, $(($(sum_results failed) + $(sum_results error))) failed"
exit $failed
