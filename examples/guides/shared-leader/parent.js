const { fork, Mutex } = require('rsipc');

(async () => {
  const name = `leader-${process.pid}`;
  const mutex = Mutex.create({ name });
  const candidates = [1, 2].map((number) => fork(`${__dirname}/child.js`, [name, String(number)]));
  // Whoever has the lock leads.
  const { leader, fence } = await Promise.any(candidates.map((candidate) => candidate.getOneMessage()));
  const heir = candidates[2 - leader];
  const succession = heir.getOneMessage();
  candidates[leader - 1].kill('SIGKILL');

  const next = await succession; // a few milliseconds later
  console.log('another one:', next.leader !== leader); // → another one: true
  console.log('its predecessor died:', next.recovered); // → its predecessor died: true
  console.log('greater:', BigInt(next.fence) > BigInt(fence)); // → greater: true
  heir.disconnect();
  mutex.unlink();
  mutex.close();
})();
