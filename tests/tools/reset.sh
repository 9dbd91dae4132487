#!/bin/sh
# reset.sh LESSON SOURCE: puts the stub back; the file that was there stays as
# a copy with date and time in its name.
set -eu
stub=tests/$1/stub.c
if [ -f "$2" ]; then
    if cmp -s "$stub" "$2"; then
        echo "$2 is the stub already."
        exit 0
    fi
    copy=${2%.c}.$(date +%Y-%m-%d-%H%M%S).c.mine
    cp -p "$2" "$copy"
    echo "Your file is kept as $copy"
fi
cp "$stub" "$2.new"
mv "$2.new" "$2"
rm -f "build/state/$1" "build/state/$1-on-mine" # what make and bench go by
echo "$2 is the stub again."
