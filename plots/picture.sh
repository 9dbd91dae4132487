#!/bin/sh
# picture.sh NAME: draws plots/NAME.pikchr into plots/NAME.svg, on white as the
# charts are. picture.sh --fresh NAME: whether the svg is of this source; that
# is told by a sum in it, since versions of pikchr differ in the last digit.
set -eu
sum() {
    cat plots/style.pikchr "plots/$1.pikchr" | cksum | cut -d ' ' -f 1
}

if [ "$1" = --fresh ]; then
    grep -q "of plots/$2.pikchr, $(sum "$2")" "plots/$2.svg" 2> /dev/null && exit
    echo "plots/$2.svg:1: not what plots/$2.pikchr says now; make plots"
    exit 1
fi
drawn=$(mktemp)
trap 'rm -f "$drawn"' EXIT
cat plots/style.pikchr "plots/$1.pikchr" | fossil pikchr - "$drawn"
grep -q '^<svg' "$drawn" || {
    echo "plots/$1.pikchr:1: pikchr does not understand it:" >&2
    sed 's/<[^>]*>//g' "$drawn" | grep -A3 -B3 ERROR >&2
    exit 1
}
awk -v about="of plots/$1.pikchr, $(sum "$1")" '
    /^<svg/ && match($0, /viewBox="0 0 [0-9.]+ [0-9.]+"/) {
        split(substr($0, RSTART + 9, RLENGTH - 10), box, " ")
        printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" " \
            "height=\"%d\" viewBox=\"-12 -12 %d %d\" font-size=\"15\" " \
            "font-family=\"Helvetica,Arial,sans-serif\">\n" \
            "<!-- %s -->\n" \
            "<rect x=\"-12\" y=\"-12\" width=\"%d\" height=\"%d\" " \
            "fill=\"#ffffff\"/>\n", box[3] + 25, box[4] + 25, box[3] + 25, \
            box[4] + 25, about, box[3] + 25, box[4] + 25
        next
    }
    { gsub(/rgb\(0,0,0\)/, "#22242a"); print }' "$drawn" > "plots/$1.svg"
