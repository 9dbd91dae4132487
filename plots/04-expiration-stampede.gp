# Lesson 04: loads per millisecond when a million keys expire together, and
# when a jitter has spread their ends.
name = '04-expiration-stampede'
if (!exists("data")) data = 'plots/04-expiration.tsv'
load 'plots/style.gp'

set title 'Jitter turns one blow of a million loads into a drizzle'
set xlabel 'simulated time since all were set for 60 seconds, seconds'
set ylabel 'loads in the busiest millisecond'
set logscale y
set xrange [53:61]
set yrange [10:5000000]
set ytics ('10' 1e1, '100' 1e2, '1,000' 1e3, '10,000' 1e4, '100,000' 1e5, \
    '1,000,000' 1e6)
unset mytics

# Those of the table that load anything, and not the three of the other chart.
loading = system("awk -F'\\t' '$2 == \"loads\" && !seen[$1]++ \
    { printf \"%s \", $1 }' '".data."'")
kind(label) = label eq 'yours' ? 9 : label eq 'no-jitter' ? 1 : \
    label eq 'jitter-1%' ? 2 : 3
plot for [label in loading] rows(label, 'loads') using ($3 / 1000):4 \
    with linespoints lt kind(label) title label noenhanced, \
    rows('no-jitter', 'loads') using ($3 / 1000):4 with impulses lt 1 notitle
