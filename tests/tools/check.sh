#!/bin/sh
# check.sh FLAGS: layout, lint, and texts against code. One line for each
# thing that is wrong, then "N passed, N failed".
# FLAGS are those that the lessons are compiled with.
set -u
tools=$(dirname "$0")
scratch=build/check
rm -rf "$scratch"
mkdir -p "$scratch"
flags=$*

sources() {
    find lessons solutions tests plots -name '*.[ch]' | sort
}

# run NAME COMMAND...: a check that prints what is wrong, if anything.
run() {
    name=$1
    shift
    if "$@" > "$scratch/$name" 2>&1; then
        echo "ok $name"
    else
        echo "not ok $name:"
        head -n 40 "$scratch/$name" | sed 's/^/    /' 
    fi
}

layout() {
    # shellcheck disable=SC2046 # no name here has a blank
    clang-format --dry-run -Werror $(sources) 2>&1 | grep ': error: '
    [ $? = 1 ]
}

# As many at once as there are processors. Not the benches: in uthash's macros
# the analyzer loses its way; not test.c: it does not know that a failed
# expectation ends a test; and neither tests/faults nor the grader's attacks,
# which are wrong on purpose. It takes minutes, so a file that was clean is
# left alone until it, a header or the rules change.
tidy() {
    mkdir -p build/tidy
    shared=$(find lessons tests plots -name '*.h' | sort |
        xargs cat .clang-tidy | sha256sum)
    { find solutions lessons tests -name '*.c' \
        -not -path '*/faults/*' -not -path '*/attacks/*' \
        -not -name test.c
        find plots -name measure.c; } |
        sort | xargs -P "$(nproc)" -n 1 sh -c '
            file=$3
            clean=build/tidy/$({ echo "$1 $2 $file"; cat "$file"; } |
                sha256sum | cut -c 1-32)
            [ -e "$clean" ] ||
                clang-tidy --quiet "$file" -- $1 2> /dev/null |
                grep " error: " || touch "$clean"' tidy "$flags" "$shared" | grep ' error: '
    [ $? = 1 ]
}

lint() {
    find solutions tests/support -name '*.c' | xargs cppcheck --quiet \
        --std=c11 --enable=warning,performance,portability --inline-suppr \
        --suppress=missingInclude --error-exitcode=1 -Ilessons -Itests
}

# What a student starts from is the stub. A file's name says to which lesson it
# belongs, wherever it lies: so the grader finds it.
pristine() {
    bad=0
    for stub in tests/*/stub/*.c; do
        cmp "$stub" "$(echo "$stub" | sed 's@^tests@lessons@; s@/stub/@/@')" ||
            bad=1
    done
    twice=$(basename -a tests/*/stub/*.c | sort | uniq -d)
    [ -z "$twice" ] || { echo "two lessons have a file $twice" && bad=1; }
    return $bad
}

# Every block that says which file it is from occurs in that file, and every
# relative link leads somewhere.
quotes() {
    find . -name '*.md' -not -path './build/*' | xargs awk -f "$tools/quotes.awk"
}

# The anchors of a text's headings, as GitHub and the book make them.
anchors() {
    sed -n 's/^##* //p' "$1" | tr 'A-Z ' 'a-z-' | sed 's/[^a-z0-9_-]//g'
}

# leads_on TEXT TARGET: whether a link from the text leads somewhere.
leads_on() {
    file=${2%%#*}
    file=${file:+$(dirname "$1")/$file}
    [ -e "${file:-$1}" ] || return 1
    case $2 in
    *.md\#* | \#*) anchors "${file:-$1}" | grep -qxF -- "${2#*#}" ;;
    esac
}

links() {
    find . -name '*.md' -not -path './build/*' > "$scratch/texts"
    while read -r text; do
        grep -no '](\([^)]*\))' "$text" | sed 's/](\(.*\))$/\1/' |
            while IFS=: read -r line target; do
                case $target in http* | mailto:*) continue ;; esac
                leads_on "$text" "$target" ||
                    echo "$text:$line: $target leads nowhere"
            done
    done < "$scratch/texts" > "$scratch/dead"
    cat "$scratch/dead"
    [ ! -s "$scratch/dead" ]
}

# Every picture says in words what it shows, and is what its source says.
pictures() {
    find . -name '*.md' -not -path './build/*' -print0 |
        xargs -0 grep -nE '!\[[^]]{0,19}\]\(' |
        sed 's/\(:[0-9]*\):.*/\1: say in the brackets what the picture shows/' \
            > "$scratch/bare"
    cat "$scratch/bare"
    [ ! -s "$scratch/bare" ] || return 1
    for source in plots/*.pikchr; do
        name=$(basename "$source" .pikchr)
        [ "$name" = style ] || sh plots/picture.sh --fresh "$name" || return 1
    done
}

# The commands that a text names exist.
commands() {
    find . -name '*.md' -not -path './build/*' -print0 |
        xargs -0 grep -noE '(`|^)make [a-z]+(-[a-z]+)*(-[0-9]+[abc]?|-N)?' |
        while IFS=: read -r text line command; do
            case $command in *'make build') continue ;; esac # a file in there
            target=$(echo "${command#*make }" | sed -E 's/-([0-9]+[abc]?|N)$/-%/')
            grep -qE "^$target( [a-z]+)*:" Makefile ||
                echo "$text:$line: there is no command '$command'"
        done > "$scratch/unknown"
    cat "$scratch/unknown"
    [ ! -s "$scratch/unknown" ]
}

# The README's table says of each lesson whether it is here.
states() {
    awk -F '|' '/^\| [0-9]+ \|/ { gsub(/ /, "", $2); print $2, $5 }' README.md |
        while read -r n state; do
            set -- lessons/"$(printf %02d "$n")"[-c]*/*.h # of 15, the last
            here=$([ -e "$1" ] && echo ready || echo 'to come')
            [ "$state" = "$here" ] || echo "README.md: lesson $n is $here"
        done > "$scratch/wrong"
    cat "$scratch/wrong"
    [ ! -s "$scratch/wrong" ] && grep -q '^| 15 |' README.md
}

shell() {
    for script in "$tools"/*.sh tests/book/*.sh plots/*.sh .ci/run; do
        sh -n "$script" || return 1
    done
}

{
    run layout layout
    run tidy tidy
    run lint lint
    run pristine pristine
    run quotes quotes
    run links links
    run pictures pictures
    run commands commands
    run states states
    run shell shell
} > "$scratch/all"
grep -v '^ok' "$scratch/all"
passed=$(grep -c '^ok' "$scratch/all")
failed=$(grep -c '^not ok' "$scratch/all")
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
