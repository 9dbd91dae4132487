"""Python's dict in the bench of lesson 02: one run at one size.

usage: 02-peers.py ENTRIES SEED

Prints one line per operation: implementation, operation, size, and
nanoseconds per operation. Keys are texts of 10 random characters. Whoever asks
brings a text of his own: had it been used before, Python would remember its
hash. The texts are made in the order of asking, as in the C bench.
"""

import random
import sys
from time import perf_counter_ns

KEY_LEN = 10
ALPHABET = bytes(
    b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_")
TO_TEXT = ALPHABET * 4  # maps any byte to one of the 64 characters


def random_keys(count):
    text = random.randbytes(KEY_LEN * count).translate(TO_TEXT).decode()
    return [text[i:i + KEY_LEN] for i in range(0, len(text), KEY_LEN)]


def copies(keys):
    """The same texts as new objects, one behind the other in memory."""
    text = "".join(keys)
    return [text[i:i + KEY_LEN] for i in range(0, len(text), KEY_LEN)]


def time_insert(table, keys):
    start = perf_counter_ns()
    for key in keys:
        table[key] = key
    return perf_counter_ns() - start


def time_hit(table, keys):
    start = perf_counter_ns()
    for key in keys:
        table[key]
    return perf_counter_ns() - start


def time_miss(table, keys):
    start = perf_counter_ns()
    for key in keys:
        table.get(key)
    return perf_counter_ns() - start


def time_delete(table, keys):
    start = perf_counter_ns()
    for key in keys:
        del table[key]
    return perf_counter_ns() - start


def main():
    size, seed = int(sys.argv[1]), int(sys.argv[2])
    random.seed(seed)
    keys = random_keys(size)
    asks = min(max(size, 200_000), 1_000_000)
    asked = random.choices(keys, k=asks)
    rounds = max(1, 200_000 // size)
    insert = delete = 0
    for turn in range(rounds):
        table = {}
        insert += time_insert(table, copies(keys))
        if turn == 0:
            hit = time_hit(table, copies(asked))
            miss = time_miss(table, random_keys(asks))
            update = time_insert(table, copies(asked))
        random.shuffle(keys)
        delete += time_delete(table, copies(keys))
    for name, total, count in (
            ("insert", insert, rounds * size), ("hit", hit, asks),
            ("miss", miss, asks), ("update", update, asks),
            ("delete", delete, rounds * size)):
        print(f"Python\t{name}\t{size}\t{total / count:.2f}")


if __name__ == "__main__":
    main()
