#!/bin/sh
# page.sh OUT KIND TEXT: the page OUT, an HTML file, of a text (KIND is front,
# lesson or text), or of a file or folder of code (KIND is code).
set -eu
out=$1 kind=$2 text=$3
here=$(dirname "$0")
folder=$(dirname "$out")
page=$(basename "$out" .html)
mkdir -p "$folder/parts"

language() {
    case $1 in
    *.[ch]) echo c ;;
    *.py) echo python ;;
    *.sh) echo sh ;;
    *) echo text ;;
    esac
}

# A large folder as a list of what is in it.
listed() {
    printf '# %s\n\nToo much for a page; the files are:\n\n' "$text"
    find "$text" -type f | sort | while read -r file; do
        printf -- '- `%s`, %s lines\n' "$file" "$(wc -l < "$file")"
    done
}

# Code as a text that quotes it.
quoted() {
    if [ -d "$text" ] && [ "$(du -sk "$text" | cut -f 1)" -gt 100 ]; then
        listed
        return
    fi
    printf '# %s\n\n' "$text"
    for file in $(if [ -d "$text" ]; then find "$text" -type f | sort; else echo "$text"; fi); do
        [ "$file" = "$text" ] || printf '## %s\n\n' "$(basename "$file")"
        printf '~~~~~~ %s\n' "$(language "$file")"
        cat "$file"
        printf '~~~~~~\n\n'
    done
}

# What a block quotes stands behind its language: pandoc wants an attribute.
with_attributes() {
    sed -E 's/^```([a-z]+) ([^ ]+)$/``` {.\1 file="\2"}/' "$text"
}

toc='--toc --toc-depth=3'
[ "$kind" != code ] || [ -d "$text" ] || toc=
# (A file between the two: of a pipe's programs only the last one's failure ends
# the script.)
# shellcheck disable=SC2046,SC2086 # one word or none
{ if [ "$kind" = code ]; then quoted; else with_attributes; fi; } |
    pandoc -f gfm+attributes+smart -t html5 --wrap=preserve $toc \
        --template="$here/page.html" --lua-filter="$here/book.lua" \
        -M out="$folder" -M page="$page" -M kind="$kind" -M source="$text" \
        -M course="$folder/course.tsv" \
        -M files="$(find "tests/$page/stub" -type f 2> /dev/null | wc -l)" \
        $([ "$kind" != front ] || echo -M front=yes) > "$out.new"
sed -E -i 's/<a href="#cb[0-9-]+" aria-hidden="true" tabindex="-1"><\/a>//g
    s/<span id="cb[0-9]+-[0-9]+">/<span>/g; s/ id="cb[0-9]+"//g' "$out.new"
mv "$out.new" "$out"
