#!/bin/sh
# state.sh: the lines "LESSON STATE" of the reader's tree, for the pages to
# show. A tree in which nothing was begun has nothing to show.
grep -v -e ' not begun$' -e ' to come$' | awk '
    BEGIN { print "window.bookState = {" }
    { lesson = $1; sub(/^[^ ]* /, ""); gsub(/["\\]/, "") }
    { printf "  \"%s\": \"%s\",\n", lesson, $0 }
    END { print "};" }'
