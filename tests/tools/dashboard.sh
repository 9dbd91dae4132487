#!/bin/sh
# dashboard.sh: all lessons, how far each is, and what comes next.
# dashboard.sh --next: only what comes next; --states: only "LESSON STATE".
# Reads the states that lesson.sh left under build/state; ALL_LESSONS and PRESENT
# come from the Makefile.
set -u
next=
what=${1:-all}
[ "$what" != all ] || printf '\nKey-value caching in C, fifteen lessons\n\n'
for lesson in $ALL_LESSONS; do
    n=${lesson%%-*}
    n=${n#0}
    case " $PRESENT " in
    *" $lesson "*) state='not begun' ;;
    *) state='to come' ;;
    esac
    if [ -f "build/state/$lesson" ]; then
        read -r state < "build/state/$lesson"
        edited='' begun=''
        for stub in tests/"$lesson"/stub/*.c; do
            file=lessons/$lesson/${stub##*/}
            [ ! "$file" -nt "build/state/$lesson" ] || edited=", edited since"
            cmp -s "$stub" "$file" || begun=yes
        done
        state=$state$edited
        [ -z "$edited" ] || [ -n "$begun" ] || state='not begun'
    fi
    case $state in
    green) mark='*' ;;
    'to come') mark=' ' ;;
    *)
        mark='.'
        next=${next:-$n}
        ;;
    esac
    case $what in
    all) printf '  %s %-24s %s\n' "$mark" "$lesson" "$state" ;;
    --states) printf '%s %s\n' "$lesson" "$state" ;;
    esac
done
[ "$what" != --states ] || exit 0
if [ -n "$next" ]; then
    printf '\nNext: make lesson-%s\n' "$next"
else
    printf '\nAll lessons that are here are green.\n'
fi
[ "$what" != all ] || printf 'All commands: make help\n'
