# Lesson 06: time per fibonacci(n), naive against memoized.
name = '06-memoization-speed'
load 'plots/style.gp'

# The table holds hits too; their peer computes no fibonacci(n).
names = system("echo '".names."' | sed 's/lru //'")

set title 'The clock agrees: memoizing costs at n = 5, and pays from 20 on'
set xlabel 'n'
set ylabel 'time per fibonacci(n), ns'
set logscale y
set format y '10^{%T}'
if (in_text) set format y '%.0e'
set xrange [3:42]
set yrange [10:1e10]
set xtics 5, 5
set bmargin 4.5

plot for [label in names] rows(label, 'fibonacci') @spread \
    lt linetype_of(label) title label
