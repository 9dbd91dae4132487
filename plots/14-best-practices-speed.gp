# Lesson 14: ns per call beside hash tables; overhead beside servers, too.
name = '14-best-practices-speed'
wide = 960
high = 460
load 'plots/style.gp'

calls = 'hit insert update'
at(c) = c == 1 ? 1 : c + 1 # the second place is for hits of the cache alone
rivals = 'cache yours GHashTable uthash flat_hash_map'
all = rivals.' Redis memcached'
present(list) = system("for n in ".list."; do awk -F'\\t' -v n=$n ". \
    "'$1 == n { print n; exit }' '".data."'; done | tr '\\n' ' '")
rivals = present(rivals)
own = present('cache yours')
all = present(all)
cell(label, operation) = "< awk -F'\\t' '$1 == \"".label."\" && $2 == \"". \
    operation."\" { print $4 FS $5 FS $6 }' '".data."'"
place(i) = (i - (words(rivals) + 1) / 2.0) * 0.8 / words(rivals)

if (in_text) {
    set title 'ns per call, a million entries'
    set xrange [0.5:4.5]
    set yrange [0:*]
    set xtics ('hit' 1, 'group-hit' 2, 'insert' 3, 'update' 4)
    plot for [i = 1:words(rivals)] for [c = 1:3] \
        cell(word(rivals, i), word(calls, c)) using (at(c) + place(i)):1 \
        with points lt linetype_of(word(rivals, i)) \
        title (c == 1 ? word(rivals, i) : ''), \
        for [i = 1:words(own)] cell(word(own, i), 'group-hit') \
        using (2 + place(i)):1 with points lt linetype_of(word(own, i)) \
        notitle
} else {
    set multiplot layout 1,2 title 'A log writes fast, and wastes little' \
        font title_font margins 0.085,0.985,0.16,0.84 spacing 0.08,0.1
    set style fill solid 0.75 border
    set title 'time per call' offset 0,-0.6 font panel_font
    set ylabel 'ns'
    set xrange [0.5:4.5]
    set yrange [0:*]
    set offsets 0, 0, graph 0.25, 0
    set xtics ('hit' 1, 'group-hit' 2, 'insert' 3, 'update' 4)
    plot for [i = 1:words(rivals)] for [c = 1:3] \
        cell(word(rivals, i), word(calls, c)) \
        using (at(c) + place(i)):1:2:3:(0.72 / words(rivals)) \
        with boxerrorbars lt linetype_of(word(rivals, i)) dt 1 lw 1 \
        title (c == 1 ? word(rivals, i) : ''), \
        for [i = 1:words(own)] cell(word(own, i), 'group-hit') \
        using (2 + place(i)):1:2:3:(0.72 / words(rivals)) \
        with boxerrorbars lt linetype_of(word(own, i)) dt 1 lw 1 notitle
    set title 'overhead per entry'
    set ylabel 'bytes beside key and value'
    set boxwidth 0.7
    set xrange [0.4:words(all) + 0.6]
    set xtics () rotate by 25 right font small_font noenhanced
    set offsets 0, 0, graph 0.08, 0
    set for [i = 1:words(all)] xtics add (word(all, i) i)
    unset key
    plot for [i = 1:words(all)] cell(word(all, i), 'overhead') \
        using (i):1 with boxes lt linetype_of(word(all, i)) dt 1 lw 1, \
        for [i = 1:words(all)] cell(word(all, i), 'overhead') \
        using (i):1:(sprintf('%.0f', $1)) with labels offset 0,0.6
    unset multiplot
}
