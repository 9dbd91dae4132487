#!/bin/sh
# course.sh: the pages of the book in their order, from the course map and the
# texts. Columns: page, text, group, module, needs, name, title. BOOK_MAP holds
# "LESSON:MODULE:NEEDS" for each lesson, the needs with commas between.
set -u

row() {
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$@"
}

title() {
    sed -n '1s/^# //p' "$1"
}

# What the README's table calls a lesson; else its title, up to a comma.
name() {
    called=$(sed -n "s@^|[^|]*| \[\([^]]*\)\]($1).*@\1@p" README.md)
    [ -n "$called" ] || called=$(title "$1" | sed 's/^[^:]*: //; s/\([,?]\).*/\1/; s/,$//')
    printf '%s' "$called"
}

row index README.md 'The course' '' '' Start 'Key-value caching in C'
for text in lessons/*/README.md; do
    lesson=$(basename "$(dirname "$text")")
    module='' needs=''
    for entry in $BOOK_MAP; do
        case $entry in "$lesson":*)
            needs=$(echo "${entry##*:}" | tr , ' ')
            module=${entry#*:} module=${module%%:*}
            ;;
        esac
    done
    row "$lesson" "$text" 'The course' "$module" "$needs" "$(name "$text")" \
        "$(title "$text")"
done
row glossary "$1" 'Look it up' '' '' Glossary Glossary
for text in tests/*/README.md CONTRIBUTING.md; do
    [ -e "$text" ] || continue
    page=$(echo "${text%.md}" | tr 'A-Z/' 'a-z-' | sed 's/^tests-//; s/-readme$//')
    row "$page" "$text" 'For those who teach' '' '' "$(title "$text")" \
        "$(title "$text")"
done
