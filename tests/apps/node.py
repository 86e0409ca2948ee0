"""node: objects, maps, json, buffers and worker threads."""

from harness import compare

SCRIPT = r"""
const crypto = require('crypto');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const sha = (s) => crypto.createHash('sha256').update(s).digest('hex');

function objects(n) {
  const map = new Map();
  for (let i = 0; i < n; i++)
    map.set('key' + i, { i, list: Array.from({ length: i % 17 }, (_, j) => j * i), text: 'x'.repeat(i % 300) });
  for (let i = 0; i < n; i += 3) map.delete('key' + i);
  return map;
}
const digest = (n) => sha(JSON.stringify([...objects(n)]));

if (!isMainThread) {
  parentPort.postMessage(digest(workerData));
} else {
  const text = JSON.stringify([...objects(150000)]);
  console.log(text.length, sha(text), JSON.parse(text).length);
  const buffers = [];
  for (let i = 0; i < 2000; i++) buffers.push(Buffer.alloc(i * 50, i));
  console.log(sha(Buffer.concat(buffers)));
  console.log(require('zlib').brotliCompressSync(text.slice(0, 500000), {}).length);
  const workers = [1000, 20000, 30000].map((n) => new Promise((done, failed) => {
    const w = new Worker(__filename, { workerData: n });
    w.on('message', done); w.on('error', failed);
  }));
  Promise.all(workers).then((digests) => console.log(digests));
}
"""


def work(session):
    return session.run("/usr/bin/node", session.write("script.js", SCRIPT))


compare(work)
