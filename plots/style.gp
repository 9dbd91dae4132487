# What all charts share. A chart sets `name` and perhaps wide and high, in
# pixels, and loads this file. From outside come, with gnuplot -e "...":
#
#     term='svg' | 'pngcairo' | 'dumb'    svg if not said
#     out='file'                          plots/<name>.<term> if not said
#     data='file.tsv'                     plots/<name>.tsv if not said
#
# Lines differ in dash and point as well as in colour, so that they can be
# told apart in grey; the line called "yours" is the thick red one.
if (!exists("term")) term = 'svg'
if (!exists("data")) data = 'plots/'.name.'.tsv'
if (!exists("wide")) wide = 760
if (!exists("high")) high = 460
if (!exists("out")) out = term eq 'dumb' ? '' : \
    'plots/'.name.(term eq 'svg' ? '.svg' : '.png')

in_text = term eq 'dumb'

# gnuplot's svg counts in pixels, its pngcairo in points.
title_font = term eq 'svg' ? ',17' : ',14'
panel_font = term eq 'svg' ? ',15' : ',11.5'
small_font = term eq 'svg' ? ',11' : ',8'

if (term eq 'svg') set terminal svg size wide,high enhanced \
    background '#ffffff' font 'Helvetica,Arial,sans-serif,14'
if (term eq 'pngcairo') set terminal pngcairo size wide,high enhanced \
    background '#ffffff' font 'DejaVu Sans,11'
if (in_text) set terminal dumb noenhanced size 78,22
if (out ne '') set output out

set datafile separator "\t"
set encoding utf8

# 1: the reference. 2 to 5: peers, in the order of the table. 7: yours.
set linetype 1 lc rgb '#0b4f8a' lw 2.5 pt 7 ps 0.7 dt 1
set linetype 2 lc rgb '#d07a00' lw 1.8 pt 4 ps 0.6 dt (12,5)
set linetype 3 lc rgb '#00845f' lw 1.8 pt 8 ps 0.7 dt (3,4)
set linetype 4 lc rgb '#7a4d9c' lw 1.8 pt 12 ps 0.7 dt (14,4,3,4)
set linetype 5 lc rgb '#555555' lw 1.8 pt 2 ps 0.7 dt (6,3,2,3,2,3)
set linetype 7 lc rgb '#d4002a' lw 3.5 pt 5 ps 0.9 dt 1

set style line 100 lc rgb '#dddddd' lw 1 dt 1
if (!in_text) set grid back ls 100
set border 3 lc rgb '#555555'
set tics nomirror out scale 0.6 textcolor rgb '#222222'
set key top left Left reverse samplen 3.5 spacing 1.2 noenhanced
set title font title_font offset 0,0.3
if (in_text) set key tmargin center horizontal samplen 2 spacing 1
if (in_text) set linetype 1 pt 15; set linetype 2 pt 2; set linetype 3 pt 3; \
    set linetype 4 pt 4; set linetype 5 pt 5; set linetype 7 pt 25

# The implementations in the table, in order, but yours last and so on top;
# and the linetype of each.
names = system("awk -F'\\t' '/^#/ || $1 == \"implementation\" { next } \
    $1 == \"yours\" { yours = $1; next } \
    !seen[$1]++ { printf \"%s \", $1 } \
    END { print yours }' '".data."'")
linetype_of(label) = label eq 'yours' ? 7 : \
    sum [i = 1 : words(names)] (word(names, i) eq label ? i : 0)

# The rows of one line of the chart.
rows(label, operation) = "< awk -F'\\t' '$1 == \"".label."\" && $2 == \"". \
    operation."\"' '".data."'"

# How a time is drawn: its median, and a bar from the least to the most. The
# terminal has no room for bars.
spread = in_text ? 'using 3:4 with linespoints' : \
    'using 3:4:5:6 with yerrorlines'

# Times hold for one machine only: which, and when, stands under the chart.
machine = system("sed -n 's/^# machine: //p' '".data."'")
if (machine ne '' && !in_text) set label 999 machine at screen 0.99, \
    screen 0.02 right font small_font textcolor rgb '#666666' noenhanced
