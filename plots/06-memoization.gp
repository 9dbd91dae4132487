# Lesson 06: how often the function runs, naive against memoized.
name = '06-memoization'
load 'plots/style.gp'

set title 'fibonacci(n): naive recursion explodes, memoized it runs n + 1 times'
set xlabel 'n'
set ylabel 'runs of the function'
set logscale y
set format y '10^{%T}'
if (in_text) set format y '%.0e'
set xrange [3:42]
set yrange [1:2e9]
set xtics 5, 5

plot for [label in names] rows(label, 'runs') using 3:4 with linespoints \
    lt linetype_of(label) title label
