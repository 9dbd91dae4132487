# Lesson 04: entries held over time, lazy against swept.
name = '04-expiration'
load 'plots/style.gp'

set title 'What nobody asks for again stays for ever, unless somebody sweeps'
set xlabel 'simulated time, minutes'
set ylabel 'entries held'
set xrange [0:10]
set yrange [0:*]
set xtics 0, 1
set ytics ('0' 0, '100,000' 1e5, '200,000' 2e5, '300,000' 3e5)

# The three caches of this chart; the table serves the stampede's too.
holding = system("awk -F'\t' '$2 == \"held\" && !seen[$1]++ \
    { printf \"%s \", $1 }' '".data."'")
plot for [label in holding] rows(label, 'held') using ($3 / 60):4 with lines \
    lt linetype_of(label) title label

# The second chart of the lesson, from the same table, into a file beside.
dot = strstrt(out, '.svg') + strstrt(out, '.png')
if (dot > 0) out = out[1:dot - 1].'-stampede'.out[dot:]
reset
load 'plots/04-expiration-stampede.gp'
