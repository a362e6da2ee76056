#!/bin/sh
# The tests in three processes side by side, each with every third file: they wait for sockets more than they compute.
# Prints what each process said, last the sum, and fails if one of them did.
set -u
cd "$(dirname "$0")/.."

shards=3
logs=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM

files=$(find tests -name 'test_*.py' -not -path 'tests/e2e/*' -not -path 'tests/endurance/*' | sort)
for shard in $(seq $shards); do
    echo "$files" | awk -v n=$shards -v k="$shard" 'NR % n == k % n' |
        xargs .venv/bin/python -m pytest "$@" >"$logs/$shard" 2>&1 &
    eval "process_$shard=$!"
done

failed=0
for shard in $(seq $shards); do
    eval "wait \$process_$shard" || failed=1
    cat "$logs/$shard"
done

# What pytest's own closing lines say, added up, in the form in which it says it.
count() {
    grep -hoE "[0-9]+ $1" "$logs"/* | awk '{ sum += $1 } END { print sum + 0 }'
}
echo "$(count passed) passed, $(($(count failed) + $(count error))) failed"
exit $failed
