const { fork, Semaphore } = require('rsipc');

(async () => {
  // All workers together do three things at a time, whoever is killed meanwhile.
  const semaphore = Semaphore.create({ permits: 3 });
  const workers = [1, 2, 3, 4].map(() => fork(`${__dirname}/child.js`));
  for (const worker of workers) await worker.send('limit', semaphore, { receipt: true });

  const answers = workers.map((worker) => worker.request(10));
  workers[0].kill('SIGKILL'); // perhaps with a permit in its hands
  const done = await Promise.allSettled(answers);
  console.log(done.map(({ status }) => status).join(' ')); // → rejected fulfilled fulfilled fulfilled

  // All permits come back, also those of the dead.
  const all = await semaphore.acquire({ count: 3, timeout: 5_000 });
  console.log('available', semaphore.available); // → available 0
  all.release();
  console.log('available', semaphore.available); // → available 3
  for (const worker of workers.slice(1)) worker.disconnect();
  semaphore.close();
})();
