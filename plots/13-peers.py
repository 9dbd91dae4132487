"""The slide's benchmark in Python, in the bench of lesson 13: one run.

usage: 13-peers.py SIZE OPERATIONS SEED

Prints four lines of implementation, operation, size, and nanoseconds per
operation. Two programs fill a dict with random texts, give up the oldest entry
when there are more than SIZE, and then read random keys:

    Python-slide   as the slide does it: each set makes its key and its value
                   while the clock runs, and each get copies all keys into a
                   list to choose one of them
    Python-fair    keys, values and choices are made before the clock starts
"""

import random
import string
import sys
from time import perf_counter_ns

KEY_LEN = 10
VALUE_LEN = 100
CHARACTERS = string.ascii_letters + string.digits


def random_text(length):
    return "".join(random.choices(CHARACTERS, k=length))


def set_slide(cache, size, operations):
    start = perf_counter_ns()
    for _ in range(operations):
        cache[random_text(KEY_LEN)] = random_text(VALUE_LEN)
        if len(cache) > size:
            del cache[next(iter(cache))]
    return perf_counter_ns() - start


def get_slide(cache, operations):
    start = perf_counter_ns()
    for _ in range(operations):
        cache[random.choice(list(cache.keys()))]
    return perf_counter_ns() - start


def set_fair(cache, size, operations):
    pairs = [(random_text(KEY_LEN), random_text(VALUE_LEN))
             for _ in range(operations)]
    start = perf_counter_ns()
    for key, value in pairs:
        cache[key] = value
        if len(cache) > size:
            del cache[next(iter(cache))]
    return perf_counter_ns() - start


def get_fair(cache, operations):
    asked = random.choices(list(cache), k=operations)
    start = perf_counter_ns()
    for key in asked:
        cache[key]
    return perf_counter_ns() - start


def main():
    size, operations, seed = (int(argument) for argument in sys.argv[1:])
    random.seed(seed)
    for name, set_all, get_all in (
            ("Python-slide", set_slide, get_slide),
            ("Python-fair", set_fair, get_fair)):
        cache = {}
        for operation, spent in (("set", set_all(cache, size, operations)),
                                 ("get", get_all(cache, operations))):
            print(f"{name}\t{operation}\t{size}\t{spent / operations:.2f}")


if __name__ == "__main__":
    main()
