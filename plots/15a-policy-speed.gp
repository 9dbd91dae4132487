# Lesson 15a: requests per second of each policy, for three numbers of objects.
name = '15a-policy-speed'
load 'plots/style.gp'

policies = 'FIFO LRU CLOCK SIEVE S3-FIFO W-TinyLFU Belady'
sizes = system("awk -F'\\t' '$3 + 0 && !seen[$3]++ { printf \"%s \", $3 }' '". \
    data."'")

# The rows of one size, with the place of their policy in front.
points(label, size) = "< awk 'BEGIN { FS = \"\\t\"; n = split(\"".policies."\", p, ". \
    "\" \"); for (i = 1; i <= n; i++) at[p[i]] = i } $1 == \"".label. \
    "\" && $3 == ".size." { print at[$2] FS $4 FS $5 FS $6 }' '".data."'"
shift_of(label, i) = (i - 2) * 0.16 + (label eq 'yours' ? 0.07 : 0)

set title 'Counting and sorting take longer than a queue'
set ylabel 'million requests per second'
set yrange [0:*]
set xrange [0.5:7.5]
set xtics ()
set for [i = 1 : 7] xtics add (word(policies, i) i)
set key top right vertical inside
set bmargin 4.5
drawn = in_text ? 'using ($1 + shift_of(label, i)):2 with points' : \
    'using ($1 + shift_of(label, i)):2:3:4 with yerrorbars'

plot for [label in names] for [i = 1 : words(sizes)] \
    points(label, word(sizes, i)) @drawn \
    lt (label eq 'yours' ? 7 : i) \
    title (label eq 'yours' ? (i == 1 ? 'yours' : '') : \
    sprintf('%.0f thousand objects', word(sizes, i) / 1e3))
