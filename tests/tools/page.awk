# page.awk: the student's page out of a test report.
#
#   awk -f page.awk -v n=5 -v source=FILE -v rows=ROWS -v colour=1
#       -v next_file=FILE signatures.tsv header stubs report.tsv
#
# rows: of the terminal. all: how many tests there are. next_file: gets the
# number of the step to do next, if it is a step that is missing.
#
# The report's lines: test, line, promise, step, outcome, message (runner_
# criterion.c). Ends with status 0 only when every test has passed.
BEGIN { FS = "\t" }

FILENAME ~ /signatures\.tsv$/ {
    if (!/^#/) {
        misconception[$1] = $2
        signature[$1] = $3
    }
    next
}

# The numbered promises of the header: " * [P3] text", wrapped.
FILENAME ~ /\.h$/ {
    if (/^ \* \[P[0-9]+\]/ && match($0, /\[P[0-9]+\]/)) {
        number = substr($0, RSTART + 1, RLENGTH - 2)
        promise[number] = substr($0, RSTART + RLENGTH + 1)
    } else if (number && /^ \*      /) {
        promise[number] = promise[number] " " substr($0, 9)
    } else {
        number = ""
    }
    sub(/ \*\/$/, "", promise[number])
    next
}

# The steps that the stubs name in a TODO, and in which file each is written.
FILENAME ~ /\/stub\// {
    if (match($0, /TODO\("[0-9]+[a-c]?\.[0-9]+/)) {
        name = substr($0, RSTART + 6, RLENGTH - 6)
        if (!(name in home)) {
            home[name] = FILENAME
            sub(/^tests/, "lessons", home[name])
            sub(/\/stub/, "", home[name])
        }
    }
    next
}

$1 == "done" { finished = 1; next }

{
    count++
    at = count # insert in the order of the lines of the test file
    while (at > 1 && line[order[at - 1]] > $2) {
        order[at] = order[at - 1]
        at--
    }
    order[at] = $1
    line[$1] = $2
    promised[$1] = $3
    step[$1] = $4 "" # a text: 14.1 is not 14.10
    outcome[$1] = $5
    message[$1] = $6
    green += $5 == "OK"
    todos += $5 == "TODO"
}

# In a terminal: green, red, and grey for what waits.
function painted(outcome,    word) {
    word = sprintf("%-7s", outcome == "OK" ? "ok" : outcome)
    if (!colour) {
        return word
    }
    return "\033[" (outcome == "OK" ? 32 : outcome == "TODO" ? 90 : 31) "m" \
        word "\033[0m"
}

function sentence(name) {
    gsub(/_/, " ", name)
    return name
}

# Whether what fails is what this misconception makes fail. While steps are
# not written, only the tests up to the step of the first failure can tell:
# those after it fail for other reasons.
function matches(name,    tests, i, n, known, t) {
    n = split(signature[name], tests, " ")
    for (i = 1; i <= n; i++) {
        known[tests[i]] = 1
    }
    for (i = 1; i <= count; i++) {
        t = order[i]
        if (todos && step[t] != step[first] && line[t] > line[first]) {
            continue
        }
        if ((outcome[t] != "OK") != (t in known)) {
            return 0
        }
    }
    return 1
}

function wrap(text, first, rest, width,    words, i, n, out) {
    n = split(text, words, " ")
    out = first
    for (i = 1; i <= n; i++) {
        if (length(out) + length(words[i]) > width) {
            sub(/ $/, "", out)
            print out
            out = rest
        }
        out = out words[i] " "
    }
    sub(/ $/, "", out)
    print out
}

# One line for each test. The tests of steps that are not written are summed
# up, and the green ones too where the terminal is too small for all.
function print_tests(    i, name, room, hide_todo, hide_ok, hidden) {
    room = rows - 18
    hide_todo = todos > 3
    hide_ok = count - todos > room
    for (i = 1; i <= count; i++) {
        name = order[i]
        if (name != first && (hide_todo && outcome[name] == "TODO" \
            || hide_ok && outcome[name] == "OK")) {
            hidden++
            continue
        }
        print "  " painted(outcome[name]) " " sentence(name)
    }
    if (hidden) {
        printf "  (%d more, %s)\n", hidden, \
            !hide_ok ? "for steps that are not written yet" \
            : todos ? "ok or not written yet" : "ok"
    }
}

function print_first(    parts, n, i) {
    printf "\nFirst: %s  [%s]\n\n", sentence(first), promised[first]
    gsub(/\\\\/, "\001", message[first]) # a backslash that is one
    n = split(message[first], parts, "\\\\n")
    for (i = 1; i <= n; i++) {
        gsub("\001", "\\\\", parts[i])
    }
    wrap(parts[1], sprintf("  %-8s", outcome[first] == "FAIL" ? "did" \
        : outcome[first]), "          ", 79)
    for (i = 2; i <= n; i++) {
        if (parts[i] ~ /^likely  /) {
            wrap(substr(parts[i], 9), "  likely  ", "          ", 79)
        } else {
            print "  " parts[i]
        }
    }
    if (outcome[first] !~ /^(TODO|SKIP)$/) {
        wrap("[" promised[first] "] " promise[promised[first]], \
            "  promise ", "          ", 79)
    }
}

# A step that adds to what is written already has no TODO that would say that
# it is missing. While others are missing too, and the very first test of such a
# step fails, then more likely nobody has begun it than made a mistake in it.
function is_begun(    i) {
    for (i = 1; i <= count && step[order[i]] != step[first]; i++) {
    }
    return !todos || step[first] in home || order[i] != first
}

# More than three names are no name.
function print_misconception(    name, found, i, names) {
    for (name in signature) {
        if (signature[name] != "" && matches(name)) {
            names[++found] = misconception[name]
        }
    }
    for (i = 1; i <= found && found <= 3; i++) {
        wrap(names[i] ".", i == 1 ? "\nThis looks like: " : "Or like: ", \
            "    ", 79)
    }
}

END {
    if (count == 0) {
        print "No test ran. This is a fault of the workbook or of this machine, not yours."
        exit 2
    }
    for (i = count; i >= 1; i--) {
        if (outcome[order[i]] != "OK") {
            first = order[i]
        }
    }
    print ""
    print_tests()
    if (finished) {
        printf "\n%d of %d green\n", green, count
    } else {
        printf "\n%d of %d green, %d did not run: the time was up\n", green, \
            all, all - count
    }
    if (!first) {
        exit !finished
    }
    print_first()
    if (outcome[first] == "SKIP") {
        printf "\nNext: make lesson-%s again, which installs what is missing.\n", n
        exit 1
    }
    todo = outcome[first] == "TODO"
    if (!todo && is_begun()) {
        print_misconception()
    }
    next_step = step[first]
    if (todo && match(message[first], /step [0-9]+[a-c]?\.[0-9]+/)) {
        next_step = substr(message[first], RSTART + 5, RLENGTH - 5)
    }
    if (next_step in home) {
        source = home[next_step]
    }
    if (todo && match(message[first], /lessons\/[^ :]*/)) {
        source = substr(message[first], RSTART, RLENGTH)
    }
    # On one's own earlier lessons: one of those.
    n = substr(next_step, 1, index(next_step, ".") - 1)
    printf "\nNext: step %s in %s, then make lesson-%s again.\n" \
        "Stuck? make hint-%s\n", next_step, source, n, n
    printf "%s\n", next_step > next_file
    exit 1
}
