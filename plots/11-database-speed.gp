# Lesson 11: time of a query against its rows, the first and the second time.
name = '11-database-speed'
load 'plots/style.gp'

set title 'The second time costs the same for one row and for all of them'
set xlabel 'rows of the result'
set ylabel 'time per query'
set logscale xy
set xrange [0.7:140000]
set xtics ('1' 1, '10' 10, '100' 1e2, '1,000' 1e3, '10,000' 1e4, '100,000' 1e5)
set ytics ('100 ns' 1e2, '1 µs' 1e3, '10 µs' 1e4, '100 µs' 1e5, '1 ms' 1e6, \
    '10 ms' 1e7, '100 ms' 1e8)
set bmargin 4.5
if (!in_text) set key top left

operations = '"sqlite 1st" "pg 1st" "sqlite 2nd" "pg 2nd"'
titles = '"SQLite, first time" "PostgreSQL, first time" '. \
    '"SQLite, second time" "PostgreSQL, second time"'
title_of(label, i) = label ne 'yours' ? word(titles, i) : i == 1 ? 'yours' : ''
plot for [label in names] for [i = 1:4] rows(label, word(operations, i)) \
    @spread lt (label eq 'yours' ? 7 : i) title title_of(label, i)
