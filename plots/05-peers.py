"""Python's LRU caches in the bench of lesson 05: one run at one capacity.

usage: 05-peers.py REQUESTS CAPACITY SEED

Prints one line per cache: implementation, operation, capacity, and nanoseconds
per request. The requests are drawn by the law of the C bench, Zipf 0.99 over
1e6 keys of 10 random characters, and laid out in the order of asking.
"""

import random
import sys
from collections import OrderedDict
from functools import lru_cache
from itertools import accumulate
from time import perf_counter_ns

KEYS = 1_000_000
EXPONENT = 0.99
KEY_LEN = 10
ALPHABET = bytes(
    b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_")
TO_TEXT = ALPHABET * 4  # maps any byte to one of the 64 characters


class OrderedLRU:
    """The slide's design: an OrderedDict whose front is the next to go."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.entries = OrderedDict()

    def get(self, key):
        if key not in self.entries:
            return None
        self.entries.move_to_end(key)
        return self.entries[key]

    def set(self, key, value):
        if key in self.entries:
            self.entries.move_to_end(key)
        self.entries[key] = value
        if len(self.entries) > self.capacity:
            self.entries.popitem(last=False)


def cut(text):
    return [text[i:i + KEY_LEN] for i in range(0, len(text), KEY_LEN)]


def draw_requests(count):
    """Each request brings a text of its own: had it been used before, Python
    would remember its hash."""
    names = cut(random.randbytes(KEY_LEN * KEYS).translate(TO_TEXT).decode())
    weights = accumulate(rank ** -EXPONENT for rank in range(1, KEYS + 1))
    return "".join(random.choices(names, cum_weights=list(weights), k=count))


def time_ordered_dict(requests, capacity):
    cache = OrderedLRU(capacity)
    start = perf_counter_ns()
    for key in requests:
        if cache.get(key) is None:
            cache.set(key, key)
    return perf_counter_ns() - start


def time_lru_cache(requests, capacity):
    @lru_cache(maxsize=capacity)
    def load(key):
        return key

    start = perf_counter_ns()
    for key in requests:
        load(key)
    return perf_counter_ns() - start


def main():
    count, capacity, seed = (int(argument) for argument in sys.argv[1:])
    random.seed(seed)
    text = draw_requests(count)
    for name, time in (("lru_cache", time_lru_cache),
                       ("OrderedDict", time_ordered_dict)):
        total = time(cut(text), capacity)
        print(f"{name}\trequest\t{capacity}\t{total / count:.2f}")


if __name__ == "__main__":
    main()
