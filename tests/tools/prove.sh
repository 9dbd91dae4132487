#!/bin/sh
# prove.sh KIND RESULT LESSON ARGUMENTS...: one proof of the course; KIND@NAME
# is KIND with DB=NAME. Writes
# lines "ok ..." and "not ok ..." to RESULT; ends with 0 either way, so that
# one run of `make test` shows everything that is wrong.
set -u
kind=${1%@*} result=$2 lesson=$3
case $1 in *@*) export DB="${1#*@}" ;; esac
shift 3
tools=$(dirname "$0")
scratch=$result.d
mkdir -p "$scratch"
export TEST_SECONDS=10 # proofs run side by side, on machines of any speed
jobs=${TEST_JOBS:-1}

# What the programs of this proof start works in this directory, or has its
# name in the environment: so it is known when it stays behind. A program that
# runs as another user must pass through.
TEST_DIRECTORY=$(mktemp -d /tmp/workbook.XXXXXX)
chmod 711 "$TEST_DIRECTORY"
export TEST_DIRECTORY
: > "$scratch/runners"

# ok WHETHER WHAT [WHY]
ok() {
    if [ "$1" = 0 ]; then
        printf 'ok %s%s: %s\n' "$lesson" "${DB:+ on $DB}" "$2"
    else
        printf 'not ok %s%s: %s: %s\n' "$lesson" "${DB:+ on $DB}" "$2" "${3:-}"
    fi
}

# Runs a program with a process for each test, several at once; its report is
# in $scratch/report.tsv.
run_tests() {
    rm -f "$scratch/report.tsv" "$scratch/events"
    program=$1
    shift
    # shellcheck disable=SC2016 # the inner shell's $$
    TEST_REPORT=$scratch/report.tsv TEST_EVENTS=$scratch/events \
        timeout -s KILL 120 sh -c 'echo $$ >> "$0" && exec "$@"' \
        "$scratch/runners" "$program" --quiet "-j$jobs" "$@" \
        < /dev/null > "$scratch/log" 2>&1
    touch "$scratch/report.tsv"
}

# Runs such programs, several at once and each with one test at a time; the
# report of each is in $scratch, by its name.
run_each() {
    printf '%s\n' "$@" | xargs -P "$jobs" -I '{}' sh -c '
        out=$2/$(basename "$1")
        rm -f "$out.tsv" "$out.events"
        TEST_REPORT=$out.tsv TEST_EVENTS=$out.events \
            timeout -s KILL 120 "$1" < /dev/null > "$out.log" 2>&1
        touch "$out.tsv"' run '{}' "$scratch"
}

# Names what is left of all that was started here: processes, files and
# directories, Criterion's own among them.
left() {
    {
        env -u TEST_DIRECTORY \
            grep -lzsx "TEST_DIRECTORY=$TEST_DIRECTORY" /proc/[0-9]*/environ
        env -u TEST_DIRECTORY find /proc -maxdepth 2 -name cwd \
            -lname "$TEST_DIRECTORY/*"
        find "$TEST_DIRECTORY" -mindepth 1
        while read -r runner; do
            ls -d "/tmp/criterion_$runner.sock" "/dev/shm/bxf_arena_$runner"
        done < "$scratch/runners"
        find /dev/shm -name 'bxfi_*' -newer "$scratch/runners" -user "$(id -u)" |
            while read -r file; do
                [ -e "/proc/${file##*_}" ] || echo "$file"
            done
    } 2> /dev/null
}

# What ends by itself does so within moments.
nothing_left() {
    patience=50
    while [ -n "$(left)" ] && [ $patience -gt 0 ]; do
        sleep 0.1
        patience=$((patience - 1))
    done
    left > "$scratch/left"
    [ ! -s "$scratch/left" ]
    ok $? "nothing is left behind by $1" "$(head -n 5 "$scratch/left" | tr '\n' ' ')"
}

not_ok_tests() {
    awk -F '\t' '$1 != "done" && $5 != "OK" { printf "%s ", $1 }' \
        "$scratch/report.tsv"
}

# Every test passes, and there are some.
prove_check() {
    run_tests "$1"
    case $2 in
    stub) prove_stub ;;
    *)
        bad=$(not_ok_tests)
        [ -z "$bad" ] && grep -q '	OK	' "$scratch/report.tsv" &&
            grep -q '^done' "$scratch/report.tsv"
        ok $? "$2 passes all tests, built by $3" "$bad"
        ;;
    esac
}

# Every test of the stub fails, by naming a step.
prove_stub() {
    bad=$(awk -F '\t' '$1 != "done" && $5 != "TODO" { printf "%s ", $1 }' \
        "$scratch/report.tsv")
    [ -z "$bad" ] && grep -q '	TODO	' "$scratch/report.tsv"
    ok $? 'each test of the stub names a step that is not written' "$bad"
}

# A plain program under a tool ends with 0 and without a report of the tool.
run_plain() {
    program=$1
    shift
    "$@" timeout -s KILL 300 "$program" < /dev/null > "$scratch/log" 2>&1
}

prove_asan() {
    run_plain "$1" env TEST_LESS=1 ASAN_OPTIONS=detect_leaks=1
    ok $? "$2 is clean under Address- and UBSan, built by $3" "see $scratch/log"
}

prove_tsan() {
    run_plain "$1" env TEST_LESS=1 TSAN_OPTIONS=exitcode=66
    ok $? "$2 is clean under ThreadSanitizer, built by $3" "see $scratch/log"
}

prove_valgrind() {
    TEST_LESS=1 timeout -s KILL 300 valgrind -q --leak-check=full \
        --error-exitcode=9 "$1" < /dev/null > "$scratch/log" 2>&1
    ok $? "$2 is clean under Valgrind" "see $scratch/log"
}

prove_helgrind() {
    TEST_LESS=1 timeout -s KILL 300 valgrind -q --tool=helgrind \
        --suppressions="$tools/helgrind.supp" --error-exitcode=9 "$1" \
        < /dev/null > "$scratch/log" 2>&1
    ok $? "$2 is clean under Helgrind" "see $scratch/log"
}

# Ten runs with ten seeds give one answer.
prove_repeat() {
    bad=
    for seed in 1 2 3 4 5 6 7 8 9 10; do
        export TEST_SEED=$seed
        run_tests "$1"
        bad=$bad$(not_ok_tests | sed "s/./seed $seed: &/")
    done
    ok "${#bad}" 'the solution passes with ten seeds' "$bad"
}

# The slide's words; times are the machine's.
prove_demo() {
    "$1" > "$scratch/printed" 2>&1 < /dev/null
    status=$?
    for file in "tests/$lesson/transcript.txt" "$scratch/printed"; do
        sed -E 's/[0-9]+\.[0-9]+ seconds/... seconds/' "$file" \
            > "$scratch/${file##*/}.timeless"
    done
    diff -u "$scratch/transcript.txt.timeless" "$scratch/printed.timeless" \
        > "$scratch/diff"
    ok $((status + $?)) "the demo prints the slide's transcript" "see $scratch/diff"
}

prove_agree() {
    module=$1
    awk -f "$tools/agree.awk" -v lesson="$lesson" \
        -v module="$module" part=header "lessons/$lesson/$module.h" \
        part=stub "tests/$lesson/stub/"*.c \
        part=solution "solutions/$lesson/"*.c \
        part=test "tests/$lesson/test.c" part=hints "lessons/$lesson/hints.md" \
        part=text "lessons/$lesson/README.md" \
        > "$scratch/said"
    ok $? 'header, stub, solution, tests and texts agree' \
        "$(tr '\n' ';' < "$scratch/said")"
}

# The line of a mutant that has run: its name, the misconception, what it fails.
signature() {
    failing=$(sort -t '	' -k 2n "$scratch/$1.tsv" | awk -F '\t' \
        '$1 != "done" && $5 != "OK" { printf "%s%s", sep, $1; sep = " " }')
    what=$(sed -n '1s/^Misconception: *//p' "tests/$lesson/mutants/$1.patch")
    printf '%s\t%s\t%s\n' "$1" "$what" "$failing"
}

# The failures of a table, a line for each.
one_by_one() {
    awk -F '\t' '{ n = split($3, test, " ") }
        { for (i = 1; i <= n; i++) { print $1, test[i] } }' "$1"
}

# Each mutant fails some test whenever it runs, each test catches some mutant,
# and which fails what is as written down. A mutant that fails others while all
# run side by side runs again, by itself, as a student's lesson does: up to
# three times, since a machine that stands still may add a test or two.
prove_mutants() {
    table=build/proof/$lesson/signatures.tsv
    run_each "$@"
    printf '# mutant\tmisconception\ttests that it fails\n' > "$table"
    for program; do
        name=$(basename "$program")
        signature "$name" > "$scratch/signatures"
        again=3
        until tail -n 1 "$scratch/signatures" |
            grep -qxFf - "tests/$lesson/signatures.tsv" || [ $again = 0 ]; do
            run_each "$program"
            signature "$name" >> "$scratch/signatures"
            again=$((again - 1))
        done
        tail -n 1 "$scratch/signatures" >> "$table"
        awk -F '\t' '$2 == "" || $3 == "" { exit 1 }' "$scratch/signatures"
        ok $? "the mutant $name is caught" "no test fails, or it has no name"
    done
    [ $# -ge 8 ]
    ok $? "there are at least 8 mutants" "only $#"
    cut -f 1 "$scratch/$name.tsv" | grep -v '^done' | while read -r name; do
        cut -f 3 "$table" | tr ' ' '\n' | grep -qx "$name" || printf '%s ' "$name"
    done > "$scratch/idle"
    [ ! -s "$scratch/idle" ]
    ok $? 'each test catches a mutant' "$(cat "$scratch/idle")"
    written=tests/$lesson/signatures.tsv
    off=$({ one_by_one "$table" && one_by_one "$written"; } | sort | uniq -u)
    cmp -s "$table" "$written"
    ok $? 'signatures.tsv is what the mutants do' \
        "make signatures writes it anew; off: $(echo "$off" | head -n 20 | tr '\n' ';')"
}

# The data of the committed chart, counted anew: every figure within 5 %,
# since instructions vary a little with compiler, C library and addresses.
prove_chart() {
    sh "$tools/bench.sh" "$@" > "$scratch/counts.tsv" 2> "$scratch/log"
    awk -F '\t' '
        /^#/ || $1 == "implementation" { next }
        NR == FNR { want[$1, $2, $3] = $4; wanted++; next }
        {
            off = $4 - want[$1, $2, $3]
            if (!(($1, $2, $3) in want) || off * off > 0.0025 * $4 * $4) {
                printf "%s %s %s: %s, not %s; ", $1, $2, $3, $4, \
                    want[$1, $2, $3]
            }
            counted++
        }
        END { if (counted != wanted) { print counted " rows, not " wanted } }
    ' "plots/$lesson.tsv" "$scratch/counts.tsv" > "$scratch/off"
    [ -s "$scratch/counts.tsv" ] && [ ! -s "$scratch/off" ]
    ok $? "the chart's data is what is counted" "$(head -c 300 "$scratch/off")"
}

# The tests of a report end as a table says: name, outcome, pattern.
prove_outcomes() {
    while IFS='	' read -r name outcome pattern; do
        awk -F '\t' -v name="$name" -v outcome="$outcome" -v pattern="$pattern" '
            $1 == name && $5 == outcome && $6 ~ pattern { found = 1 }
            END { exit !found }' "$scratch/report.tsv"
        ok $? "$name ends as $outcome and says where" \
            "$(grep "^$name	" "$scratch/report.tsv" | cut -f 5-)"
    done < "$1"
}

# The guards of the tests themselves bite: each fault ends as it should.
prove_faults() {
    export TEST_SECONDS=2
    run_tests "$1"
    prove_outcomes tests/faults/expected.tsv
}

# kill_runner SIGNAL: to the runner of run_tests, which runs in the background.
kill_runner() {
    kill -"$1" "$(tail -n 1 "$scratch/runners")" 2> /dev/null # or it has ended
    wait
}

# kill_when VARIABLE NAME PROGRAM: runs a test until it has made the file that
# the variable names, and kills its runner.
kill_when() {
    for signal in KILL TERM; do
        rm -f "$scratch/ready"
        export "$1=$PWD/$scratch/ready"
        run_tests "$3" --filter "lesson/$2" &
        patience=200
        while [ ! -e "$scratch/ready" ] && [ $patience -gt 0 ]; do
            sleep 0.1
            patience=$((patience - 1))
        done
        [ -e "$scratch/ready" ]
        ok $? "$2 has come so far" 'it did not say so'
        kill_runner $signal
        nothing_left "$2 in ${3%/run/*}, whose runner was ended by $signal"
        unset "$1"
    done
}

# However a test ends, nothing that it has started stays; nor does the test
# itself, when its runner is killed.
prove_leftovers() {
    export TEST_SECONDS=2
    run_tests "$1" --filter 'lesson/ends_*'
    prove_outcomes tests/leftovers/expected.tsv
    nothing_left 'tests that end in any way'
    for program; do
        kill_when TEST_READY waits_for_its_runner_to_be_killed "$program"
        kill_when TEST_UNBORN waits_to_be_born "$program"
    done
}

# A run of a lesson that is killed in its middle, at any moment.
prove_killed() {
    for after in 0.05 0.2 0.4 0.7 1.1 1.6; do
        run_tests "$1" &
        sleep $after
        kill_runner KILL
    done
    nothing_left 'runs that were killed in their middle'
}

# Runs a command as on a machine without servers, where nothing is installed.
without_servers() {
    bwrap --dev-bind / / --die-with-parent --setenv DB postgres \
        --ro-bind /dev/null "$(realpath "$(command -v redis-server)")" \
        --tmpfs /usr/lib/postgresql \
        --ro-bind /bin/false "$(command -v apt-get)" "$@"
}

# What needs a server that is not installed says so, and how to get it, and is
# no pass.
prove_missing() {
    for program; do
        l=$(basename "$(dirname "$program")")
        TEST_REPORT=$scratch/report.tsv without_servers \
            timeout -s KILL 120 "$program" --quiet > "$scratch/log" 2>&1
        awk -F '\t' '
            $5 == "SKIP" { skipped += $6 ~ /not installed: make doctor says how/ }
            $1 != "done" && $5 != "OK" && $5 != "SKIP" { other++ }
            END { exit !skipped || other }' "$scratch/report.tsv"
        ok $? "$l skips what it cannot test" "$(not_ok_tests)"
        ! awk -f "$tools/page.awk" -v n="${l%%-*}" -v next_file=/dev/null \
            "$scratch/report.tsv" > "$scratch/page" 2>&1 &&
            grep -q 'which installs what is missing' "$scratch/page"
        ok $? "$l is not green" "see $scratch/page"
        ! without_servers sh "$tools/setup.sh" "$scratch/stamp" \
            tests "$l" postgres > "$scratch/setup" 2>&1 &&
            grep -q 'apt-get install.*postgresql' "$scratch/setup" &&
            [ ! -e "$scratch/stamp" ]
        ok $? "$l names the packages" "see $scratch/setup"
    done
}

# Lesson 8's tests find our server where they look for redis-server. All of
# them pass but those of a table, which ask for what it does not have.
prove_lesson_8() {
    mkdir -p "$scratch/bin"
    ln -sf "$(realpath "$1")" "$scratch/bin/redis-server"
    with_servers=$PATH
    PATH=$(realpath "$scratch/bin"):$PATH
    run_tests "$2"
    PATH=$with_servers
    bad=$(grep -v '^#' "$3" | awk -F '\t' '
        NR == FNR { beyond[$1] = 1; next }
        $1 != "done" && ($5 == "OK") == ($1 in beyond) { printf "%s ", $1 }
        { ended = $1 == "done" }
        END { if (!ended) { print "the run did not end" } }
        ' - "$scratch/report.tsv")
    [ -z "$bad" ]
    ok $? "lesson 8's tests pass at it, but for what it does not have" "$bad"
}

# The program, with the tools of Redis. $1: the server; it is ended here.
prove_program() {
    socket=$TEST_DIRECTORY/cache.sock
    "$1" --port 0 --unixsocket "$socket" --maxmemory 10mb --threads 2 \
        > "$scratch/said" 2>&1 &
    server=$!
    patience=100
    while [ ! -S "$socket" ] && [ $patience -gt 0 ]; do
        sleep 0.1
        patience=$((patience - 1))
    done
    grep -q 'for this machine alone' "$scratch/said"
    ok $? 'the program says where it listens' "see $scratch/said"
    got=$(printf 'SET a 1 EX 9\nTTL a\nGET a\nGET b\nFOO\n' |
        redis-cli -s "$socket" | tr '\n' ' ')
    case $got in
    "OK 9 1  ERR unknown command 'FOO'"*) ok 0 'redis-cli works at it' ;;
    *) ok 1 'redis-cli works at it' "$got" ;;
    esac
    redis-benchmark -s "$socket" -n 2000 -c 20 -P 8 -q -t \
        ping,set,get,incr,mset > "$scratch/asked" 2>&1
    [ "$(tr '\r' '\n' < "$scratch/asked" | grep -c 'requests per second')" = 6 ]
    ok $? 'redis-benchmark works at it' "see $scratch/asked"
    kill -TERM "$server"
    wait "$server"
    ended=$?
    [ $ended = 0 ] && [ ! -e "$socket" ]
    ok $? 'SIGTERM ends it cleanly' "status $ended"
    "$1" --port x > "$scratch/refused" 2>&1
    [ $? = 1 ] && grep -q 'no address to listen at' "$scratch/refused"
    ok $? 'a wrong option is told in words' "see $scratch/refused"
}

# The same inputs each time, which the fuzzer makes of its words.
prove_fuzz() {
    "$1" -runs=5000 -seed=15 -max_len=2048 -dict="tests/$lesson/fuzz.dict" \
        -artifact_prefix="$scratch/" > "$scratch/log" 2>&1
    ok $? 'a fuzzer finds nothing in 5,000 inputs' "see $scratch/log"
}

# The proof itself, and that nothing of it stays.
prove() {
    "prove_$kind" "$@" || return 1
    case $kind in
    agree | leftovers | killed) ;;
    *) nothing_left "$kind" ;;
    esac
}

prove "$@" > "$result.new" && mv "$result.new" "$result"
rmdir "$TEST_DIRECTORY" 2> /dev/null || true # what is left was told
printf . >&2 # a sign of life: all proofs take minutes
