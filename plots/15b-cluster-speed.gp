# Lesson 15b: keys per second from three nodes, against three bare pipelines.
name = '15b-cluster-speed'
load 'plots/style.gp'

set title 'One call for many keys is about as fast as three pipelines by hand'
set xlabel 'keys in a call'
set ylabel 'thousand keys per second'
set logscale x 4
set xrange [3:1400]
set yrange [0:*]
set xtics (4, 16, 64, 256, '1,024' 1024)
set bmargin 4.5

plot for [label in names] rows(label, 'get_many') @spread \
    lt linetype_of(label) title label
