"""What scripts/demo runs: a dictionary of two million entries, filled, and looked up in random
order, as an in-memory index of a server would be."""
import random

random.seed(1)
index = {"key%d" % i: [i, str(i)] for i in range(2000000)}
keys = list(index)
random.shuffle(keys)
print(len(index), sum(index[key][0] for key in keys))
