# agree.awk: whether one lesson's files say the same. Reads, in this order:
# header, stub, solution, test.c, hints.md, README.md. Prints what does not
# agree; ends with status 0 when all does.
FNR == 1 { file++ }

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

file == 1 && match($0, /\[P[0-9]+\]/) {
    promised[substr($0, RSTART + 1, RLENGTH - 2)] = 1
}

file <= 3 && !/^(static|typedef|#| )/ {
    name = public_name($0)
    if (name != "") {
        order[file] = order[file] " " name
    }
}

# The text above the first public function of stub and solution, for the same
# structs; comments on statics may differ.
file == 2 && match($0, /TODO\("[0-9]+[a-c]?\.[0-9]+/) {
    steps[substr($0, RSTART + 6, RLENGTH - 6)] = 1
}

file == 2 && /^(struct|enum|    .*;)/ && !/TODO/ { in_stub[$0] = 1 }
file == 3 && /^struct [a-z_]+ {/ { in_struct = 1 }
file == 3 && in_struct && !($0 in in_stub) && !/^[ }]*(union {|};)?$/ {
    complain("the stub lacks this line of the solution's struct: " $0)
}
file == 3 && /^};/ { in_struct = 0 }

file == 4 && match($0, /^TEST\([a-z0-9_]+/) { test_text = "" ; collecting = 1 }
file == 4 && collecting {
    test_text = test_text $0
    if (test_text ~ /\) \{/) {
        split(test_text, part, "\"")
        tested[part[2]] = 1
        used[part[4]] = 1
        collecting = 0
    }
}

file == 5 && /^## / { step = $2; hinted[step] = 1 }
file == 5 && /^### / { rungs[step]++ }

file == 6 && /^## / { sections = sections "|" substr($0, 4) }
file == 6 {
    text = $0
    while (match(text, /\[P[0-9]+\]/)) {
        told[substr(text, RSTART + 1, RLENGTH - 2)] = 1
        text = substr(text, RSTART + RLENGTH)
    }
}

END {
    if (order[1] == "" || order[1] != order[2]) {
        complain("header and stub list other functions:" order[1] " |" order[2])
    }
    if (order[1] != order[3]) {
        complain("header and solution list other functions:" order[1] " |" order[3])
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
