#!/bin/sh
# race.sh LESSON PROGRAM: makes PROGRAM (built with ThreadSanitizer) and runs
# it. Prints one line, or the first race.
set -u
log=build/report/$1/race
mkdir -p "build/report/$1"
${MAKE:-make} -s "$2" || exit 1
TSAN_OPTIONS=halt_on_error=1:exitcode=66 TEST_LESS=1 \
    timeout -s KILL 120 "$2" > "$log" 2>&1
status=$?
if [ $status = 0 ]; then
    echo "Threads: no race (ThreadSanitizer)"
    exit 0
fi
echo
if ! grep -q '^WARNING' "$log"; then
    why='a test fails'
    [ $status != 137 ] || why='the tests did not end within 120 s'
    echo "Threads: no race was found, but in this run, in which all tests share"
    echo "one process, $why (all in $log):"
    echo
    head -n 25 "$log" | sed 's/^/  /'
    exit 1
fi
echo "Threads: the first race that ThreadSanitizer found (all in $log):"
echo
sed -n '/^WARNING/,/^SUMMARY/p' "$log" | head -n 25 | sed 's/^/  /'
exit 1
