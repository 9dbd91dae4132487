#!/bin/sh
# glossary.sh COURSE TERMS...: the text of the glossary, out of the terms that
# book.lua found: columns term, page, anchor, sentence.
set -eu
course=$1
shift
echo '# Glossary'
echo
echo 'Each term in the sentence that defines it, and the lesson where that stands.'
echo
echo '<dl>'
LC_ALL=C sort -f -s -t '	' -k 1,1 "$@" | awk -F '\t' '
    NR == FNR { name[$1] = $6; place[$1] = NR; next }
    { key = tolower($1); where = "<a href=\"" $2 ".html#" $3 "\">" name[$2] "</a>" }
    key == last { again = again ", " where; next }
    { finish() }
    { last = key; term = $1; said = $4; first = where; again = "" }
    END { finish() }
    function finish() {
        if (last != "") {
            printf "<dt>%s</dt>\n<dd>%s <span class=\"in\">%s%s</span></dd>\n",
                term, said, first, again
        }
    }' "$course" -
echo '</dl>'
