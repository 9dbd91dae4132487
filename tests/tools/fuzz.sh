#!/bin/sh
# fuzz.sh LESSON PROGRAM SECONDS: lets a fuzzer look for input that crashes the
# reader's code, or breaks a promise, for so many seconds. What it has learned
# stays in build/fuzz/, and the next run begins there.
set -u
lesson=$1 program=$2 seconds=$3
out=build/fuzz/$lesson
mkdir -p "$out/corpus"
"$program" -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 \
    -dict="tests/$lesson/fuzz.dict" -artifact_prefix="$out/" "$out/corpus" \
    > "$out/log" 2>&1
status=$?
if [ $status = 0 ]; then
    awk '/number_of_executed_units/ { runs = $2 }
        / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
        END { printf "%d inputs, %d places of the code reached: " \
            "nothing found\n", runs, cov }' "$out/log"
elif ! grep 'not written yet' "$out/log"; then
    sed '/^Shadow bytes/,/ABORTING/d' "$out/log" | tail -n 40 |
        grep -v -e '^#' -e '^INFO' -e '^stat::' -e '^    #.*(/' -e libc_start
    echo "The input is in $out/; $program FILE runs it again."
fi
exit $status
