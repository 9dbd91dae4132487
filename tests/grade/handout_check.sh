#!/bin/sh
# handout_check.sh OBJECT...: writes a fresh handout into a folder of its own
# and proves it: nothing of the solutions' text is in it, each lesson begins
# red and turns green with the solution, and the commands beside work.
# Prints a line for each thing, then "N passed, N failed".
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(pwd)
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
new=$room/handout
sh "$here/handout.sh" "$new" "$@" || exit 1
lines=$room/lines

# say WHAT COMMAND...: whether COMMAND holds; what it printed, if not.
say() {
    what=$1
    shift
    if "$@" > "$room/said" 2>&1; then
        echo "ok $what" | tee -a "$lines"
    else
        echo "not ok $what" | tee -a "$lines"
        sed 's/^/    /' "$room/said" | tail -n 12
    fi
}

# prints STATUS TEXT COMMAND...: it ends so, and says so.
prints() {
    status=$1 text=$2
    shift 2
    "$@" > "$room/printed" 2>&1
    got=$?
    cat "$room/printed"
    [ $got = "$status" ] && grep -q -e "$text" "$room/printed"
}

say 'no line of a solution, mutant or alternate is in it' \
    python3 "$here/leaks.py" "$root" "$new"
cd "$new" || exit 1
export NO_COLOR=1
say 'make shows where one stands' prints 0 'Next: make lesson-1' make
# pristine LESSON: whether all that one writes there is the stub.
pristine() {
    for stub in tests/"$1"/stub/*.c; do
        cmp "$stub" "lessons/$1/${stub##*/}" || return 1
    done
}
for folder in tests/*/stub; do
    lesson=$(basename "$(dirname "$folder")")
    n=${lesson%%-*}
    n=${n#0}
    say "$lesson: the stub shows its red page" \
        prints 2 "^Next: step $n\." make "lesson-$n"
    say "$lesson: there is a hint" prints 0 "^Step $n.*1 of 3" make "hint-$n"
    say "$lesson: there is no solution to look at" \
        prints 2 "no solutions/$lesson" make "diff-$n"
    cp "$root/solutions/$lesson"/*.c "lessons/$lesson"
    say "$lesson: a right file turns it green" \
        prints 0 "^Lesson $n is green" make "lesson-$n"
    say "$lesson: the demo runs" make "demo-$n"
    say "$lesson: reset puts the stub back" \
        prints 0 'is the stub again' make "reset-$n"
    say "$lesson: what it puts back is the stub" pristine "$lesson"
done
say 'the bench runs, and the chart is drawn' make bench-2 cost-2 plot-2
say 'the book is made' prints 0 'Open build/book/index.html' make book
say 'make test says that it is not for students' \
    prints 2 'for those who teach' make test
passed=$(grep -c '^ok' "$lines")
failed=$(grep -c '^not ok' "$lines")
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
