# Draws a bench's TSV as a table: one row per operation and size, one column
# per implementation, and behind each the ratio to the first of them, the
# reference: above 1 it takes longer than the reference. More than four columns
# leave no room for ratios.
#
#     awk -f plots/table.awk times.tsv
BEGIN { FS = "\t" }

/^#/ { sub(/^# /, ""); print; next }

$1 == "implementation" { next }

{
    if (!seen_name[$1]++) { names[++name_count] = $1 }
    if (!seen_operation[$2]++) { operations[++operation_count] = $2 }
    figure[$1, $2, $3] = $4
    if (!there[$2, $3]++) { sizes[$2, ++size_count[$2]] = $3 }
    if ($4 > largest) { largest = $4 }
}

function short(value) {
    if (largest <= 1) { return sprintf("%.3f", value) } # a hit ratio
    return value >= 1000 ? sprintf("%.0f", value) : sprintf("%.1f", value)
}

function cell(name, operation, size,    value, base, ratio) {
    if (!((name, operation, size) in figure)) { return crowded ? "-" : "-        " }
    value = figure[name, operation, size]
    if (name == names[1] || crowded) { return short(value) }
    base = figure[names[1], operation, size]
    ratio = base > 0 ? sprintf("(x %.2f)", value / base) : ""
    return short(value) sprintf(" %8s", ratio)
}

END {
    crowded = name_count > 4
    wide = crowded ? 9 : 17
    printf "\n%-10s %9s %8s", "", "size", names[1]
    for (n = 2; n <= name_count; n++) {
        printf " %*s", wide, names[n] (crowded ? "" : "         ")
    }
    printf "\n"
    for (o = 1; o <= operation_count; o++) {
        operation = operations[o]
        for (s = 1; s <= size_count[operation]; s++) {
            size = sizes[operation, s]
            printf "%-10s %9d %8s", operation, size,
                cell(names[1], operation, size)
            for (n = 2; n <= name_count; n++) {
                printf " %*s", wide, cell(names[n], operation, size)
            }
            printf "\n"
        }
    }
}
