"""python3: dictionaries, strings, json and regular expressions; forked workers and threads."""

from harness import compare

SCRIPT = r"""
import hashlib, json, multiprocessing, re, threading, zlib

def objects(n):
    return {f"key {i}": {"list": list(range(i % 17)), "text": "x" * (i % 301), "n": i / 7}
            for i in range(n)}

def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

def worker(n):
    return digest(objects(n))

data = objects(60000)
print(digest(data), digest(json.loads(json.dumps(data))))
for key in list(data)[::2]:
    del data[key]
data.update(objects(30000))
print(digest(data))

text = " ".join(f"{i * i % 9973:x}" for i in range(300000))
print(len(re.findall(r"\b[0-9]+[a-f]+\b", text)), zlib.crc32(zlib.compress(text.encode())))
print(sorted(set(text.split()))[:20], len(bytearray(50_000_000)))

multiprocessing.set_start_method("fork")
with multiprocessing.Pool(4) as pool:
    print(pool.map(worker, range(1000, 9000, 500)))

results = [None] * 8
def in_thread(i):
    results[i] = worker(2000 + i)
threads = [threading.Thread(target=in_thread, args=(i,)) for i in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(results)
"""


def work(session):
    script = session.write("script.py", SCRIPT)
    return (session.run("/usr/bin/python3", script)
            + session.run("/usr/bin/python3", script, env={"PYTHONMALLOC": "malloc"}))


compare(work)
