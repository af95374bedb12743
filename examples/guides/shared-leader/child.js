const { Mutex } = require('rsipc');

const [name, number] = process.argv.slice(2);

(async () => {
  const held = await Mutex.open(name).lock(); // sleeps while another one leads
  // `recovered`: the last leader died, so what it did last may be half done. `fence` grows with every leader: what it
  // writes to can refuse one who was thought dead.
  process.send({ leader: Number(number), recovered: held.recovered, fence: String(held.fence) });
  process.once('disconnect', () => held.release());
})();
