#!/bin/sh
# demo_15.sh YOURS REFERENCE DEMO: starts the server of lesson 15c and a
# redis-server, lets lesson 8's demo talk to the first and redis-benchmark
# measure both, and shows the chart. Both end with it.
set -u
server=$1 reference=$2 demo=$3
if [ "$(cat build/state/15c-server 2> /dev/null)" != green ]; then
    echo 'Your lesson 15c is not green yet: this is the reference.'
    server=$reference
fi
here=$(mktemp -d /tmp/workbook.XXXXXX)
ours=
redis=
end() {
    for process in $ours $redis; do
        kill "$process" 2> /dev/null
    done
    wait
    rm -rf "$here"
}
trap end EXIT
trap 'exit 1' INT TERM HUP

"$server" --port 0 --unixsocket "$here/server" > "$here/said" 2>&1 &
ours=$!
redis-server --port 0 --unixsocket "$here/redis" --save '' --appendonly no \
    --dir "$here" > /dev/null 2>&1 &
redis=$!
patience=100
while [ ! -S "$here/server" ] || [ ! -S "$here/redis" ]; do
    sleep 0.1
    patience=$((patience - 1))
    [ $patience -gt 0 ] || { cat "$here/said"; exit 1; }
done
cat "$here/said"

printf "lesson 8's demo at it says, as at Redis:"
said=$(REDIS=$here/server "$demo") || exit 1
# shellcheck disable=SC2086 # words
printf ' %s' $said
printf '\n\nredis-benchmark, 50 clients, 16 commands at a time, thousand per second\n'

# The figures of one server: SET and GET.
ask() {
    redis-benchmark -s "$here/$1" -c 50 -P 16 -n 300000 -r 100000 -d 100 \
        -t set,get --csv 2> /dev/null | tr -d '"' |
        awk -F , -v who="$2" '
            $1 == "SET" || $1 == "GET" { row = row sprintf("%9.0f", $2 / 1000) }
            END { printf "%-13s%s\n", who, row; exit row == "" }'
}
printf '%-13s%9s%9s\n' '' SET GET
ask server server || exit 1
ask redis redis-server || exit 1

data=build/plot/15c-server-speed.tsv
[ -s "$data" ] || data=plots/15c-server-speed.tsv
gnuplot -e "term='dumb'; data='$data'" plots/15c-server-speed.gp
