#!/bin/sh
# hint.sh LESSON NUMBER: the next of three hints for the step that the last
# run of the tests named; after the third it starts over.
set -u
out=build/report/$1
mkdir -p "$out"
if [ "$(cat "build/state/$1" 2> /dev/null)" = green ]; then
    echo "Lesson $2 is green: there is nothing left to hint at."
    exit 0
fi
step=$(cat "$out/next" 2> /dev/null || echo "$2.1")
case $step in
"$2".*) ;;
*)
    echo "You are at step $step, in lesson ${step%.*}: make hint-${step%.*}"
    exit 0
    ;;
esac
read -r seen_step rung 2> /dev/null < "$out/hint" || seen_step=
[ "$seen_step" = "$step" ] || rung=0
rung=$((rung % 3 + 1))
# Code blocks are indented, without their fences.
awk -v step="$step" -v rung="$rung" '
    /^## / { in_step = $2 "" == step "" } # 14.1 is not 14.10
    /^### / { at = in_step ? at + 1 : 0; if (in_step && at == rung) next }
    in_step && at == rung && /^```/ { code = !code; next }
    in_step && at == rung && !/^##/ { print (code ? "    " : "") $0 }
' "lessons/$1/hints.md" > "$out/hint.text"
echo "Step $step, hint $rung of 3:"
{ cat "$out/hint.text"; echo; } | cat -s
if [ "$rung" = 3 ]; then
    echo "That was the last one for this step; the next call starts over."
else
    echo "More: make hint-$2"
fi
printf '%s %s\n' "$step" "$rung" > "$out/hint.new" &&
    mv "$out/hint.new" "$out/hint"
