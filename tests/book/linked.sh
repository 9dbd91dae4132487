#!/bin/sh
# linked.sh TEXT...: the files and folders that the texts link to, but for texts
# and what is elsewhere: "PATH" of each, from the top of the tree.
set -u
for text; do
    folder=$(dirname "$text")
    grep -o '](\([^)#]*\))' "$text" | sed 's/^](//; s/)$//' |
        grep -v '^[a-z]*:' | grep -v '\.md$' | sed "s@^@$folder/@"
done | sed -E ':up
    s@(^|/)\./@\1@; t up
    s@(^|/)[^/.][^/]*/\.\./@\1@; t up' | sort -u |
    while read -r path; do [ ! -e "$path" ] || echo "$path"; done
