#!/bin/sh
# lesson.sh LESSON NUMBER SOURCES PROGRAM MEMORY RACE SECONDS: runs the tests of
# one lesson, for at most SECONDS, prints the student's page, and, when all are
# green, checks memory (and races) with the programs that MEMORY (and RACE)
# make. Ends with status 0 only when the lesson is green in all of them.
set -u
lesson=$1 n=$2 sources=$3 program=$4 memory=$5 race=$6 seconds=$7
here=$(dirname "$0")
out=build/report/$lesson
state=build/state/$lesson
case $program in */mine) state=$state-on-mine ;; esac
mkdir -p "$out" build/state
rm -f "$out/report.tsv" "$out/events" "$out/next"
rows=999
[ ! -t 1 ] || rows=$(stty size < /dev/tty 2> /dev/null || echo 999)
colour=
[ ! -t 1 ] || [ -n "${NO_COLOR:-}" ] || colour=1
for file in $sources; do
    [ -f "$file" ] || {
        echo "$file is gone." \
            "make reset-$n FILE=$(basename "$file" .c) puts the stub back." >&2
        exit 1
    }
done
source=$sources
case $sources in *' '*) source=lessons/$lesson ;; esac

# What make shows as this lesson's state; renamed, so never half-written.
note_state() {
    printf '%s\n' "$1" > "$state.new" && mv "$state.new" "$state"
}

TEST_REPORT=$out/report.tsv TEST_EVENTS=$out/events \
    timeout -k 0.3 "$seconds" "$program" --quiet < /dev/null > "$out/log" 2>&1
touch "$out/report.tsv"

echo "Lesson $n: $source${DB:+ on $DB}"
awk -f "$here/page.awk" -v n="$n" -v source="$source" \
    -v rows="${rows%% *}" -v colour="$colour" \
    -v all="$(grep -c '^TEST(' "tests/$lesson/test.c")" -v next_file="$out/next" \
    "tests/$lesson/signatures.tsv" "lessons/$lesson/"*.h \
    "tests/$lesson/stub/"*.c "$out/report.tsv"
verdict=$?
if [ -s "$out/log" ]; then
    echo
    echo "Your code printed (all of it is in $out/log):"
    head -n 5 "$out/log" | sed 's/^/  | /'
fi
warned=$(cat "${program%%/run/*}/lessons/$lesson/"*.o.log 2> /dev/null |
    grep -m 1 ' warning: ')
[ -z "$warned" ] || printf '\nThe compiler warns: %s\n' "$warned"
if [ $verdict != 0 ]; then
    green=$(grep -c '	OK	' "$out/report.tsv")
    all=$(grep -vc '^done' "$out/report.tsv")
    next="next is step $(cat "$out/next" 2> /dev/null)"
    if grep -q '	SKIP	' "$out/report.tsv"; then
        rm -f "build/packages/tests+$lesson"* # they do not hold any more
        [ -s "$out/next" ] || next='what it needs is not installed'
    fi
    note_state "$green of $all green, $next"
    exit 1
fi

sh "$here/memory.sh" "$lesson" "$memory" || {
    note_state "all tests green, memory is not"
    exit 1
}
if [ -n "$race" ]; then
    sh "$here/race.sh" "$lesson" "$race" || {
        note_state "all tests green, but threads race"
        exit 1
    }
fi
note_state green
echo
echo "Lesson $n is green. You have learned:"
sed -n '/^## You will learn/,/^## The slide/s/^- /  - /p' \
    "lessons/$lesson/README.md"
echo
compare=
[ ! -f "solutions/${file#lessons/}" ] ||
    compare=" Compare: make diff-$n."
echo "See it: make demo-$n, make plot-$n.$compare"
sh "$here/dashboard.sh" --next
