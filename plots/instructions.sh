#!/bin/sh
# Counts the instructions of one function per call, against the size of what
# it works on. Callgrind runs the program on a simulated processor and counts
# each instruction: no clock, so no noise.
#
#     plots/instructions.sh TARGET BENCH FUNCTION LABEL=SO... > counts.tsv
#
# TARGET: the command that the header names, for example "make cost-1"; empty
#     for no header, to append to a table.
# BENCH: a bench program; it is run as BENCH one LABEL=SO...
# FUNCTION: counted from its start to its end, with all that it calls.
set -eu

if [ $# -lt 4 ]; then
    sed -n 's/^#     plots/usage: plots/p' "$0" >&2
    exit 2
fi
target=$1 bench=$2 function=$3
shift 3

parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
trap 'exit 1' HUP INT TERM

# The bench names what it asks, one line for each call of measure_ask, which
# calls its ask_all, and
# callgrind writes a file for each, in the same order.
valgrind --quiet --tool=callgrind --callgrind-out-file="$parts/out" \
    --toggle-collect="$function" --zero-before=ask_all \
    --dump-after=measure_ask "$bench" one "$@" > "$parts/asked"

if [ -n "$target" ]; then
    printf '# %s: instructions per operation on n entries\n' "$target"
    printf 'implementation\toperation\tsize\tvalue\n'
fi

part=0
while read -r label operation size calls; do
    part=$((part + 1))
    # Not "totals:", which counts in what came before the start.
    total=$(sed -n 's/^summary: //p' "$parts/out.$part")
    awk -v a="$label" -v b="$operation" -v c="$size" -v n="$calls" \
        -v total="$total" 'BEGIN { printf "%s\t%s\t%s\t%.1f\n", a, b, c,
                                          total / n }'
done < "$parts/asked"
