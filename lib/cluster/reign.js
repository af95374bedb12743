'use strict';
// A primary that has a name, until another one takes it: what it tells that one, and its end.

const { serve } = require('../endpoint/server.js');
const { rsipc } = require('../errors.js');
const { retire } = require('./reload.js');

const LOOK_EVERY = 5; // ms, at connections that no worker has answered for

const endpointOf = (name) => `rsipc:cluster.${name}`;

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

class Reign {
  #primary;
  #server;
  #successor = null; // the connection of the one that is to take over
  #over = false;

  static async begin(primary, name) {
    const reign = new Reign();
    reign.#primary = primary;
    reign.#server = await serve(endpointOf(name));
    reign.#server.unref(); // workers keep a primary, its name does not
    reign.#server.on('connection', (client) => {
      client.unref();
      client.on('error', () => {});
      client.once('close', () => reign.#lost(client));
      client.handle('begin', () => reign.#hand(client));
      client.handle('yield', ({ drain }) => reign.#yield(client, drain));
      client.handle('end', (settings) => reign.#end(client, settings));
      client.handle('stay', ({ why }) => reign.#stay(client, new Error(String(why))));
    });
    return reign;
  }

  // All that is listened on here goes there, and is kept.
  async #hand(client) {
    const primary = this.#primary;
    if (primary.reloading || this.#successor !== null) throw rsipc.reloading();
    primary.reloading = true;
    this.#successor = client;
    for (const [key, listeners] of primary.listeners) {
      for (const listener of listeners) {
        const { fields, fd, stays } = listener.heirloom() ?? {};
        if (fd !== undefined) await client.send({ key, fields, stays }, fd);
      }
    }
    const counts = Object.values(primary.cluster.workers).map((worker) => primary.addressesOf(worker));
    return { addresses: Math.max(0, ...counts), workers: counts.filter((count) => count > 0).length };
  }

  // Accepts no more, and waits until workers have what has been accepted.
  async #yield(client, drain) {
    this.#check(client);
    const listeners = this.#primary.allListeners();
    for (const listener of listeners) listener.hold(true);
    // What a blocked worker has been given stays with it.
    const end = Date.now() + drain;
    while (listeners.some((listener) => listener.unfinished > 0) && Date.now() < end) await pause(LOOK_EVERY);
  }

  // The other one accepts. What goes with the name is to be let go before this is answered.
  #end(client, { timeout, drain, pid }) {
    this.#check(client);
    const primary = this.#primary;
    const { cluster } = primary;
    this.#over = true;
    for (const listener of primary.allListeners()) listener.giveUp();
    primary.respawn.reset();
    const exits = cluster.listenerCount('replaced') === 0;
    setImmediate(() => this.#server.close()); // once this is answered
    this.#retireAll({ timeout, drain }, exits);
    cluster.emit('replaced', { pid });
  }

  async #retireAll(settings, exits) {
    const primary = this.#primary;
    const workers = Object.values(primary.cluster.workers);
    for (const worker of workers) primary.setRespawning(worker, false);
    await Promise.all(workers.map((worker) => retire(primary, worker, settings)));
    if (exits) process.exit();
  }

  #stay(client, error) {
    this.#check(client);
    this.#successor = null;
    const primary = this.#primary;
    primary.reloading = false;
    for (const listener of primary.allListeners()) listener.hold(false);
    primary.cluster.emit('notReplaced', error);
  }

  #lost(client) {
    if (this.#successor === client && !this.#over) this.#stay(client, rsipc.successorGone());
  }

  #check(client) {
    if (this.#successor !== client || this.#over) throw new Error('nothing has been begun');
  }
}

module.exports = { Reign, endpointOf, pause };
