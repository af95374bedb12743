'use strict';

// MiB by which the sender grows when it sends without waiting and the child does not read. The
// child sleeps until all is sent, then reads, counts and answers: what was queued must arrive.

const { KINDS, verify } = require('../payload.js');
const { next } = require('../peer.js');

async function growth({ start, end, kind: kindName, serialization, total }) {
  const kind = KINDS[kindName];
  const child = await start(['count', kindName], { serialization, stdio: ['pipe', 'inherit', 'inherit', 'ipc'] });

  child.send({ sleep: true });
  await next(child);
  global.gc();
  const before = process.memoryUsage.rss();

  let peak = before;
  const look = () => { peak = Math.max(peak, process.memoryUsage.rss()); };
  for (let index = 0; index < total; index++) {
    child.send(kind.make(index));
    if (index % 1000 === 0) look();
  }
  look();
  // Whatever is put off to a later turn of the loop belongs to the bill.
  for (let turn = 0; turn < 10; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    look();
  }

  const answer = next(child);
  child.send({ end: true });
  child.stdin.end();
  verify(await answer, total);
  await end(child);
  return (peak - before) / 2 ** 20;
}

module.exports = growth;
