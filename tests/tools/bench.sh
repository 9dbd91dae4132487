#!/bin/sh
# bench.sh DOES LESSON NUMBER MODULE BENCH REFERENCE YOURS KV: measures the
# reference of a lesson, its peers, and the reader's own code once it is green.
#   DOES       bench (a table), cost (instructions), plot (a chart of all),
#              counts (the reference's counted data, to stdout), or
#              measure (the data of the committed charts, into plots/)
#   BENCH      the bench program; REFERENCE, YOURS: the lesson's code as
#              shared objects; KV: lesson 1's, whose line lesson 2 draws too
set -eu
does=$1 lesson=$2 n=$3 module=$4 bench=$5 reference=$6 yours=$7 kv=$8
tools=$(dirname "$0")
out=build/plot
mkdir -p "$out"
made=$out/$lesson

set -- "$module=$reference"
if [ "$does" != counts ] && [ "$does" != measure ] &&
    [ "$(cat "build/state/$lesson" 2> /dev/null)" = green ]; then
    ${MAKE:-make} -s "$yours"
    set -- "$@" "yours=$yours"
elif [ "$does" != counts ] && [ "$does" != measure ]; then
    echo "Your lesson $n is not green yet: only the reference and its peers." >&2
fi

# What cost counts.
case $module in
bench) counted=bench_histogram_record ;;
policy) counted=policy_request ;;
server) counted=server_session_feed ;;
*) counted=${module}_get ;;
esac

# Instructions per call, by callgrind.
cost() {
    sh plots/instructions.sh "make cost-$n" "$bench" "$counted" "$@"
    if [ "$n" = 2 ]; then
        bench_1=$(dirname "$bench")/01-introduction
        sh plots/instructions.sh '' "$bench_1" kv_get "kv=$kv"
    elif [ "$n" = 9 ]; then
        sh plots/instructions.sh '' "$bench" dict_get "dict=$reference"
    fi
}

# The data of the lesson's first chart: counts, the same on every machine.
counts() {
    case $lesson in
    01-introduction | 02-basic-operations) cost "$@" ;;
    *) "$bench" counts "$@" ;;
    esac
}

# A chart in the terminal, and as SVG and PNG.
draw() {
    gnuplot -e "term='dumb'; data='$made$1.tsv'" "plots/$lesson$1.gp"
    for term in svg pngcairo; do
        file=$made$1.$(echo $term | sed 's/cairo//')
        gnuplot -e "term='$term'; data='$made$1.tsv'; out='$file'" \
            "plots/$lesson$1.gp"
    done
    echo "The same as a picture: $made$1.svg and .png"
}

case $does in
counts) counts "$@" ;;
measure)
    counts "$@" > "$made.tsv" && mv "$made.tsv" "plots/$lesson.tsv"
    if [ -f "plots/$lesson-speed.gp" ]; then
        "$bench" speed "$@" > "$made-speed.tsv"
        mv "$made-speed.tsv" "plots/$lesson-speed.tsv"
    fi
    ;;
cost)
    cost "$@" > "$made-cost.tsv"
    awk -f plots/table.awk "$made-cost.tsv"
    ;;
bench)
    "$bench" speed "$@" > "$made-speed.tsv"
    awk -f plots/table.awk "$made-speed.tsv"
    ;;
plot)
    counts "$@" > "$made.tsv"
    draw ''
    # A trace of the reader's is drawn, not timed.
    if [ -f "plots/$lesson-speed.gp" ] && [ -z "${TRACE:-}" ]; then
        BENCH_QUICK=1 "$bench" speed "$@" > "$made-speed.tsv"
        draw -speed
    fi
    ;;
esac
