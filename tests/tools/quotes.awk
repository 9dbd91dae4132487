# quotes.awk: a block fenced as "```c path/of/file" must occur in that file,
# byte for byte. Prints file and line of each that does not.
function whole(path,    line, text) {
    if (!(path in content)) {
        while ((getline line < path) > 0) {
            text = text line "\n"
        }
        close(path)
        content[path] = text
    }
    return content[path]
}

/^```[a-z]+ [^ ]+$/ {
    path = $2
    quote = ""
    start = FNR
    next
}

/^```/ && path != "" {
    if (!index(whole(path), quote)) {
        printf "%s:%d: this is not what %s says\n", FILENAME, start, path
        bad = 1
    }
    path = ""
    next
}

path != "" { quote = quote $0 "\n" }

END { exit bad }
