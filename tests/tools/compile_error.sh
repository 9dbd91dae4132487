#!/bin/sh
# compile_error.sh SOURCE LOG: the compiler's first error, and nothing else.
awk -v file="$1" '
    !shown && /: (fatal )?error: / { print; shown = NR; next }
    shown && NR < shown + 4 && /^ *[0-9]* *\|/ { print }
' "$2" > "$2.first"
echo
echo "$1 does not compile yet. The compiler's first error:"
echo
sed 's/^/    /' "$2.first"
errors=$(grep -c ': error: ' "$2")
[ "$errors" -lt 2 ] || echo "
(and $((errors - 1)) more, which may go away with the first: $2)"
