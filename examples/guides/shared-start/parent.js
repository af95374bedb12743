const { fork, Barrier, Event, RwLock } = require('rsipc');

(async () => {
  const workers = [1, 2].map((number) => fork(`${__dirname}/child.js`, [String(number)]));
  const everybody = Barrier.create({ parties: 3 }); // two workers and this process
  const go = Event.create();
  const table = RwLock.create();
  for (const worker of workers) {
    await worker.send('barrier', everybody, { receipt: true });
    await worker.send('event', go, { receipt: true });
    await worker.send('lock', table, { receipt: true });
  }

  const last = await everybody.wait(); // until all are ready; `true` for the one who came last
  console.log(typeof last); // → boolean

  const writing = await table.write(); // nobody reads
  go.set(); // lets all go on who wait, and all who come
  const reads = workers.map((worker) => worker.getOneMessage());
  console.log(await Promise.race([...reads, 'nobody reads'])); // → nobody reads
  writing.release();
  console.log((await Promise.all(reads)).sort()); // → [ '1 reads', '2 reads' ]
  for (const worker of workers) worker.disconnect();
  for (const object of [everybody, go, table]) object.close();
})();
