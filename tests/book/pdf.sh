#!/bin/sh
# pdf.sh OUT PAGE...: all pages of the book, printed one after the other by
# Chromium. Their anchors get the page's name before them, so that links from
# one to another work within the PDF; what is not in it is no link there.
set -eu
out=$1
shift
folder=$(dirname "$out")
all=$folder/all.html
pages=$(echo "$*" | tr ' ' '|')
trap 'rm -f "$all"' EXIT

chapter() {
    echo "<section class=\"chapter\" id=\"$1\">"
    sed -n '/<main id="text">/,/<\/main>/p' "$folder/$1.html" | sed -E "
        s/<\/?main[^>]*>//; s/<details/<details open/
        s/ id=\"/ id=\"$1--/g; s/href=\"#/href=\"#$1--/g
        s/href=\"($pages)\.html#([^\"]+)\"/href=\"#\1--\2\"/g
        s/href=\"($pages)\.html\"/href=\"#\1\"/g
        s/ href=\"[^\":#]+\.(html|svg)[^\"]*\"//g"
    echo '</section>'
}

{
    echo '<!DOCTYPE html><html lang="en"><meta charset="utf-8">'
    echo '<title>Key-value caching in C</title>'
    echo '<link rel="stylesheet" href="book.css"><body>'
    for page; do
        chapter "$page"
    done
} > "$all"
options='--headless --disable-gpu --no-pdf-header-footer --generate-pdf-document-outline'
[ "$(id -u)" != 0 ] || options="$options --no-sandbox" # it refuses otherwise
# shellcheck disable=SC2086 # a list of words
timeout -k 5 120 chromium $options --print-to-pdf="$out.new" \
    "file://$(cd "$folder" && pwd)/all.html" > "$folder/parts/pdf.log" 2>&1 &&
    [ -s "$out.new" ] || {
    echo "Chromium could not print the book; see $folder/parts/pdf.log" >&2
    exit 1
}
mv "$out.new" "$out"
