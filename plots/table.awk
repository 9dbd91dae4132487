# Draws a bench's TSV as a table: one row per operation and size, one column
# per implementation, and behind each the ratio to the first of them, the
# reference: above 1 it takes longer than the reference.
#
#     awk -f plots/table.awk times.tsv
BEGIN { FS = "\t" }

/^#/ { sub(/^# /, ""); print; next }

$1 == "implementation" { next }

{
    if (!seen_name[$1]++) { names[++name_count] = $1 }
    if (!seen_operation[$2]++) { operations[++operation_count] = $2 }
    if (!seen_size[$3]++) { sizes[++size_count] = $3 }
    figure[$1, $2, $3] = $4
    there[$2, $3] = 1
    if ($4 > largest) { largest = $4 }
}

function short(value) {
    if (largest <= 1) { return sprintf("%.3f", value) } # a hit ratio
    return value >= 1000 ? sprintf("%.0f", value) : sprintf("%.1f", value)
}

function cell(name, operation, size,    value, base, ratio) {
    if (!((name, operation, size) in figure)) { return "-        " }
    value = figure[name, operation, size]
    if (name == names[1]) { return short(value) }
    base = figure[names[1], operation, size]
    ratio = base > 0 ? sprintf("(x %.2f)", value / base) : ""
    return short(value) sprintf(" %8s", ratio)
}

END {
    printf "\n%-10s %9s %8s", "", "size", names[1]
    for (n = 2; n <= name_count; n++) { printf " %17s", names[n] "         " }
    printf "\n"
    for (o = 1; o <= operation_count; o++) {
        for (s = 1; s <= size_count; s++) {
            if (!there[operations[o], sizes[s]]) { continue }
            printf "%-10s %9d %8s", operations[o], sizes[s],
                cell(names[1], operations[o], sizes[s])
            for (n = 2; n <= name_count; n++) {
                printf " %17s", cell(names[n], operations[o], sizes[s])
            }
            printf "\n"
        }
    }
}
