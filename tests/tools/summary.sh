#!/bin/sh
# summary.sh RESULT...: what the proofs found. Ends with 0 only when all hold.
# A result with a failure is removed, so that the next run tries again; so is
# one that says "not tried", which is neither a pass nor a failure.
echo
cat "$@" | grep -E '^not (ok|tried)'
passed=$(cat "$@" | grep -c '^ok')
failed=$(cat "$@" | grep -c '^not ok')
for result; do
    if grep -qE '^not (ok|tried)' "$result" || [ ! -s "$result" ]; then
        rm -f "$result"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
