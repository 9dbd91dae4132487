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

# take NAME TEXT: the page must show the text.
take() {
    make -s -C $tree build/gcc/check/run/$lesson/lesson \
        build/gcc/plain/run/$lesson/lesson
    python3 "$here/screen.py" "$2" make -s -C $tree lesson-5 > "$tree/$1.svg"
    mv "$tree/$1.svg" "$out-$1.svg"
}

cp solutions/$lesson/lru.c $file
patch -s $file tests/$lesson/mutants/get_does_not_promote.patch
take red 'looks like'
cp solutions/$lesson/lru.c $file
take green 'is green'
