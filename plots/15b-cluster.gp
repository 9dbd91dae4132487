# Lesson 15b: commands for 1,000 keys while their slots move.
name = '15b-cluster'
load 'plots/style.gp'

set title 'Who learns from a redirect pays for each moved slot once'
set xlabel 'slots that have moved since the start, %'
set ylabel 'commands for 1,000 keys'
set xrange [-3:103]
set yrange [900:2150]

plot for [label in names] rows(label, 'get') \
    using 3:4 with linespoints lt linetype_of(label) title label
