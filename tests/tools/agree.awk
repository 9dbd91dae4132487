# agree.awk: whether one lesson's files say the same. Reads them in this order,
# each behind part=WHAT: header, stub (one file or more), solution (the same),
# test, hints, text. Prints what does not agree; ends with 0 when all does.
FNR == 1 {
    file = FILENAME
    sub(/.*\//, "", file)
    sub(/\.[a-z]*$/, "", file)
    if (part == "stub" || part == "solution") {
        sources[file] = 1
    }
}

# Public functions: in a header they end in ";", in a source they start at the
# left margin and are not static. One line each is enough for their names.
function public_name(text,    name) {
    if (match(text, /^[a-z_][a-z0-9_ *]*[ *][a-z0-9_]+\(/)) {
        name = substr(text, RSTART, RLENGTH - 1)
        sub(/.*[ *]/, "", name)
        return name
    }
    return ""
}

function complain(text) {
    print lesson ": " text
    bad = 1
}

part == "header" && match($0, /\[P[0-9]+\]/) {
    promised[substr($0, RSTART + 1, RLENGTH - 2)] = 1
}

part ~ /^(header|stub|solution)$/ && !/^(static|typedef|#| )/ {
    name = public_name($0)
    if (name != "") {
        order[part, file] = order[part, file] " " name
    }
}

# The text above the first public function of stub and solution, for the same
# structs; comments on statics may differ.
part == "stub" && match($0, /TODO\("[0-9]+[a-c]?\.[0-9]+/) {
    steps[substr($0, RSTART + 6, RLENGTH - 6)] = 1
}

part == "stub" && /^(struct|enum|    .*;)/ && !/TODO/ { in_stub[$0] = 1 }
part == "solution" && /^struct [a-z_]+ {/ { in_struct = 1 }
part == "solution" && in_struct && !($0 in in_stub) && !/^[ }]*(union {|};)?$/ {
    complain("the stub lacks this line of the solution's struct: " $0)
}
part == "solution" && /^};/ { in_struct = 0 }

part == "test" && match($0, /^TEST\([a-z0-9_]+/) { test_text = "" ; collecting = 1 }
part == "test" && collecting {
    test_text = test_text $0
    if (test_text ~ /\) \{/) {
        split(test_text, quoted, "\"")
        tested[quoted[2]] = 1
        used[quoted[4]] = 1
        collecting = 0
    }
}

part == "hints" && /^## / { step = $2; hinted[step] = 1 }
part == "hints" && /^### / { rungs[step]++ }

part == "text" && /^## / { sections = sections "|" substr($0, 4) }
part == "text" {
    text = $0
    while (match(text, /\[P[0-9]+\]/)) {
        told[substr(text, RSTART + 1, RLENGTH - 2)] = 1
        text = substr(text, RSTART + RLENGTH)
    }
}

END {
    if (order["header", module] == "" \
        || order["header", module] != order["stub", module]) {
        complain("header and stub list other functions:" \
            order["header", module] " |" order["stub", module])
    }
    for (f in sources) {
        if (order["stub", f] != order["solution", f]) {
            complain("stub and solution list other functions in " f ".c:" \
                order["stub", f] " |" order["solution", f])
        }
    }
    for (p in promised) {
        if (!(p in tested)) {
            complain("no test cites the promise " p)
        }
        if (!(p in told)) {
            complain("the text does not tell the promise " p)
        }
    }
    for (p in tested) {
        if (!(p in promised)) {
            complain("a test cites " p ", which the header does not promise")
        }
    }
    for (p in told) {
        if (!(p in promised)) {
            complain("the text tells " p ", which the header does not promise")
        }
    }
    for (s in used) {
        steps[s] = 1
    }
    for (s in steps) {
        if (rungs[s] != 3) {
            complain("step " s " has " rungs[s] + 0 " hints, not 3")
        }
    }
    for (s in hinted) {
        if (!(s in steps)) {
            complain("there are hints for " s ", which is no step")
        }
    }
    want = "|You will learn|The slide in C|Predict first|The promises" \
        "|Your tasks|Run it|Beyond the slide|Questions|The chart|Bonus" \
        "|Further reading"
    if (sections != want) {
        complain("the text's sections are " sections ", not " want)
    }
    exit bad
}
