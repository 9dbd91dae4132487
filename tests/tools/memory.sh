#!/bin/sh
# memory.sh LESSON PROGRAM: makes PROGRAM (all tests in one process) and runs
# it under Valgrind. Prints one line, or what Valgrind found in the lesson.
set -u
log=build/report/$1/memory
mkdir -p "build/report/$1"
${MAKE:-make} -s "$2" || exit 1
if TEST_LESS=1 timeout -s KILL 120 valgrind --leak-check=full \
    --error-exitcode=9 --log-file="$log" "$2" > "$log.tests" 2>&1; then
    echo "Memory: clean (Valgrind)"
    exit 0
fi
echo
if grep -q 'Giving up' "$log"; then
    echo "Memory: Valgrind cannot read this program (not your fault): see $log"
    exit 1
fi
# A child that a test forked has a summary too; the test's own comes last.
if grep 'ERROR SUMMARY' "$log" | tail -n 1 | grep -q ' 0 errors'; then
    failed=$(head -n 1 "$log.tests")
    echo "Memory: nothing was found, but a test fails in this run, in which all"
    echo "tests share one process and one heap: $(echo "$failed" | tr _ ' ')"
    echo
    sed -e 1d -e '$d' -e 's/^/  /' "$log.tests"
    step=$(sed -n "s/^TEST($failed, [^,]*, \"\(.*\)\").*/\1/p" "tests/$1/test.c")
    [ -z "$step" ] || printf '%s\n' "$step" > "build/report/$1/next"
    echo "Next: step ${step:-unknown}"
    exit 1
fi
echo "Memory: not clean. The first that Valgrind found (all in $log):"
echo
# From the first finding to the next empty line, as far as it is the reader's.
sed 's/^==[0-9]*== \{0,1\}//' "$log" | awk '
    /^(Invalid|Conditional|Use of|Syscall|Source and|Argument|Mismatched)/ ||
        / definitely lost / && !/:/ { found = 1 }
    found && /^ *$/ { exit }
    found && !/\/(tests|criterion)\/|\(in \/usr/ { print "  " $0 }'
exit 1
