# Lesson 15a: misses per request against capacity, for seven policies.
name = '15a-policy'
wide = 960
high = 720
load 'plots/style.gp'

# Seven lines: the two old ones and the optimum without gaps, in three greys.
set linetype 1 lc rgb '#999999' lw 1.8 pt 6 ps 0.6 dt 1
set linetype 2 lc rgb '#0b4f8a' lw 2.2 pt 7 ps 0.6 dt 1
set linetype 3 lc rgb '#00845f' lw 1.8 pt 8 ps 0.7 dt (3,4)
set linetype 4 lc rgb '#d07a00' lw 1.8 pt 4 ps 0.6 dt (12,5)
set linetype 5 lc rgb '#7a4d9c' lw 1.8 pt 12 ps 0.7 dt (14,4,3,4)
set linetype 6 lc rgb '#d4002a' lw 1.8 pt 2 ps 0.7 dt (6,3,2,3,2,3)
set linetype 7 lc rgb '#000000' lw 2.8 pt 7 ps 0.3 dt 1
if (in_text) set terminal dumb noenhanced size 78,44; \
    do for [i = 1 : 7] { set linetype i pt i }

traces = system("awk -F'\\t' '/^#/ || $1 == \"implementation\" { next } \
    !seen[$2]++ { printf \"%s \", $2 }' '".data."'")
title_of(t) = t eq 'zipf' ? 'popular objects (Zipf)' : \
    t eq 'scan' ? 'popular objects, and scans' : \
    t eq 'loop' ? 'a loop' : \
    t eq 'mix' ? 'all of it, and the popular change' : t

set logscale x
set format x '%.0s%c'
set xrange [*:*] noextend
set yrange [0:1.02]
set format y '%.1f'

across = words(traces) > 1 ? 2 : 1
set multiplot layout across,across title (across == 1 ? \
    'What each policy misses' : 'No policy is best on every trace') \
    font title_font margins (in_text ? 0.1 : 0.07),0.975,0.09,0.89 \
    spacing 0.07,(in_text ? 0.14 : 0.12)
do for [i = 1 : words(traces)] {
    t = word(traces, i)
    set title title_of(t) font panel_font offset 0,-0.6
    set ylabel (i % 2 == 1 ? 'misses per request' : '')
    set xlabel (i > words(traces) - 2 ? 'capacity, objects' : '')
    if (t eq 'loop') { set key bottom left vertical inside } else {
        if (across == 1) { set key top right vertical inside } else {
            unset key } }
    plot for [label in names] rows(label, t) using 3:4 \
        with linespoints lt linetype_of(label) title label
}
unset multiplot
