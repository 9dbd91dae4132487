# Lesson 09: share of stale reads over time, while events are lost for 4 s.
name = '09-invalidation'
load 'plots/style.gp'

set title 'Lost events leave stale answers behind, unless the cache clears itself'
set xlabel 'time, s'
set ylabel 'stale reads, % of all'
set xrange [0:24]
set yrange [0:*]
if (!in_text) set key top left

if (!in_text) {
    set object 1 rectangle from 8, graph 0 to 12, graph 1 \
        fc rgb '#eeeeee' fs solid noborder behind
    set label '<- connection down' at 12.2, graph 0.9 left textcolor rgb '#555555'
}

strategies = '"by time" "by event" "by event, clearing" "by version"'
plot for [i = 1:words(strategies)] rows('versioned', word(strategies, i)) \
    using ($3 / 1000):4 with linespoints lt i title word(strategies, i)
