# Dictionaries, lists, strings, classes, arbitrary-precision integers.
import json
import re


class Vector:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)


def words(count):
    state = 1
    for _ in range(count):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        yield "w%d" % (state >> 16 & 0x3FF)


def queens(size, row=0, columns=0, up=0, down=0):
    if row == size:
        return 1
    free, found = ~(columns | up | down) & (1 << size) - 1, 0
    while free:
        bit = free & -free
        free ^= bit
        found += queens(size, row + 1, columns | bit, (up | bit) << 1, (down | bit) >> 1)
    return found


counts = {}
for word in words(300000):
    counts[word] = counts.get(word, 0) + 1
text = json.dumps(counts, sort_keys=True)
print(sum(json.loads(text).values()), len(re.findall(r"w(\d)\1", text)))
total = Vector(0, 0)
for i in range(300000):
    total += Vector(i, -i)
print(total.x, total.y, queens(9))
print(sorted(words(150000), key=lambda word: word[::-1])[::15000], pow(3, 20000) % 1000003)
