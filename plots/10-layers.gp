# Lesson 10: which level answers, against the size of level 1.
name = '10-layers'
load 'plots/style.gp'

set title 'A larger level 1 takes gets from level 2, and none from the source'
set xlabel 'entries in level 1 (level 2 holds 20,000 of 100,000 keys)'
set ylabel 'gets answered, % of all'
set logscale x
set xrange [9:22000]
set yrange [0:100]
set xtics ('10' 10, '100' 100, '1,000' 1e3, '10,000' 1e4, '20,000' 2e4)
if (in_text) set xtics ('10' 10, '100' 100, '1,000' 1e3, '10,000' 1e4)
if (!in_text) set key top center horizontal

levels = 'L1 L2 source'
titles = '"level 1" "level 2" "the source"'
plot for [i = 1:3] rows('layers', word(levels, i)) using 3:4 \
    with linespoints lt i title word(titles, i)
