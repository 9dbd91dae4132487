#!/bin/sh
# screens.sh OUT: takes the page of lesson 5 twice, as a terminal shows it: red,
# for the known mistake that a get does not renew its entry, into OUT-red.svg,
# and green, for the solution, into OUT-green.svg. It works in a copy of the
# tree, so the reader's file and state stay as they are.
set -eu
out=$1
here=$(cd "$(dirname "$0")" && pwd)
tree=build/screens
lesson=05-lru
file=$tree/lessons/$lesson/lru.c
mkdir -p $tree
cp -R Makefile lessons solutions tests plots $tree

# take NAME: what make lesson-5 prints to a terminal of 80 columns.
take() {
    script -qec "stty cols 80 rows 34; make -s -C $tree lesson-5" /dev/null \
        < /dev/null 2> /dev/null | tr -d '\r' |
        grep -v '^make: ' > "$tree/$1.txt" || true
    grep -q "$2" "$tree/$1.txt" || {
        echo "make lesson-5 did not print '$2'; see $tree/$1.txt" >&2
        exit 1
    }
    awk -f "$here/screen.awk" "$tree/$1.txt" > "$out-$1.svg"
}

cp solutions/$lesson/lru.c $file
patch -s $file tests/$lesson/mutants/get_does_not_promote.patch
take red 'looks like'
cp solutions/$lesson/lru.c $file
take green 'is green'
