# screen.awk: what a terminal shows, as a picture. Knows the colours that
# page.awk uses: 31 red, 32 green, 90 grey, 1 bold, 0 none.
function escaped(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

function painted(line,    out, code) {
    colour = ""
    while (match(line, /\033\[[0-9;]*m/)) {
        out = out span(substr(line, 1, RSTART - 1))
        code = substr(line, RSTART + 2, RLENGTH - 3)
        line = substr(line, RSTART + RLENGTH)
        colour = code in class ? class[code] : ""
    }
    return out span(line)
}

function span(text) {
    if (text == "" || colour == "") {
        return escaped(text)
    }
    return "<tspan fill=\"" colour "\">" escaped(text) "</tspan>"
}

BEGIN {
    class["31"] = "#ff8a80"
    class["32"] = "#8fd694"
    class["90"] = "#a0a4ab"
}

{ line[NR] = $0 }

END {
    high = NR * 19 + 32
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" " \
        "height=\"%d\" viewBox=\"0 0 720 %d\" font-size=\"14\" " \
        "font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono'," \
        "monospace\" fill=\"#e4e4e0\">\n", high, high
    printf "<rect width=\"720\" height=\"%d\" rx=\"6\" fill=\"#1b1d22\"/>\n", high
    for (i = 1; i <= NR; i++) {
        printf "<text x=\"20\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", \
            i * 19 + 10, painted(line[i])
    }
    print "</svg>"
}
