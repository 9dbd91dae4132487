#!/bin/sh
# handout.sh DIR OBJECT...: writes into DIR a workbook for students. Of the
# reference solutions it has the OBJECTs only, and no symbol or line of theirs;
# of mutants and alternates nothing. Every lesson starts from its stub.
set -eu
dir=$1
shift
if [ -e "$dir" ] && [ -n "$(ls -A "$dir")" ]; then
    echo "There is something in $dir already: name a new folder." >&2
    exit 1
fi
mkdir -p "$dir"

{
    ls LICENSE .clang-format .gitignore .devcontainer/*
    find lessons plots tests/support -type f -not -name '*.mine' \
        -not -name '*.orig' -not -name '*.rej'
    find tests/[01]* -maxdepth 1 -name '*.h'
    ls tests/*/test.c tests/*/stub/*.c tests/*/signatures.tsv \
        tests/*/transcript.txt tests/tools/* tests/book/*
} | grep -v -e '^tests/faults/' -e '/prove.sh$' -e '/summary.sh$' \
    -e '/check.sh$' -e '/agree.awk$' -e '/quotes.awk$' |
    xargs cp --parents -t "$dir"
for folder in tests/*/stub; do
    lesson=$(basename "$(dirname "$folder")")
    cp "$folder"/*.c "$dir/lessons/$lesson"
done

# build/gcc/MODE/solutions/LESSON/MODULE.o becomes solutions/LESSON/MODULE.MODE.o
for object; do
    name=${object#build/gcc/}
    mode=${name%%/*}
    name=$dir/${name#*/}
    mkdir -p "$(dirname "$name")"
    strip --strip-unneeded -o "${name%.o}.$mode.o" "$object"
done

# Without what only its instructors can do, and links to what is not there.
awk '/^# -- for maintainers/ { skip = 1
        print "# This is a handout: what proves and grades the course is not in it."
        print "test check grade plots signatures: .force"
        print "\t@echo \"make $@ is for those who teach: it needs the solutions.\"; exit 2\n"
    }
    /^# -- the book/ { skip = 0 } /^check:/ { skip = 1 }
    /^\.force:/ { skip = 0 } !skip' Makefile > "$dir/Makefile"
awk '/^## For instructors/ { skip = 1 } /^The licence/ { skip = 0 }
    !skip && !/^. `make diff-/' \
    README.md > "$dir/README.md"
awk -F '\t' '{ who = " " $3 " "; gsub(/ (proof|check|grade)/, "", who) }
    /^#/ || who ~ /[a-z0-9]/' tests/tools/packages.tsv > "$dir/tests/tools/packages.tsv"
find "$dir" -name '*.md' -exec sed -i -E \
    's#\[([^]]*)\]\([./]*(tests/[^)]*/(alternates|mutants)|solutions)(/[^)]*)?\)#\1#g' {} +
