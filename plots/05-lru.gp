# Lesson 05: hit ratio against capacity, for three workloads.
name = '05-lru'
wide = 960
high = 420
load 'plots/style.gp'

set logscale x
set xrange [900:110000]
set yrange [0:1.02]
set xtics ('1k' 1e3, '10k' 1e4, '100k' 1e5)
set mxtics 10
set format y '%.1f'
set key bottom right vertical inside

title_of(w) = w eq 'zipf' ? 'popular keys (Zipf)' : \
    w eq 'scan' ? 'popular keys, and scans' : 'a loop over 20k keys'

set multiplot layout 1,3 title 'A scan or a loop ruins LRU; the optimum '. \
    'shows how much is lost' font title_font \
    margins (in_text ? 0.1 : 0.08),0.985,0.16,0.80 spacing 0.055,0.1
do for [workload in 'zipf scan loop'] {
    set title title_of(workload) font panel_font offset 0,-0.6
    set ylabel (workload eq 'zipf' ? 'hits per request' : '')
    set xlabel (workload eq 'scan' ? 'capacity, entries' : '')
    if (workload eq 'zipf') { set key } else { unset key }
    plot for [label in names] rows(label, workload) using 3:4 \
        with linespoints lt linetype_of(label) title label
}
unset multiplot
