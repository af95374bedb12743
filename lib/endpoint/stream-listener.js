'use strict';
// A server of Node's that looks like the native listener and hands out ends that look like native ones.

const nothing = () => {};

class StreamListener {
  #server;
  #waiting = [];
  #endOf;
  #addressOf;
  #found = null;
  #closed = false;

  // `endOf` makes an end of a socket, `addressOf` the endpoint's text out of where the server listens.
  constructor(server, endOf, addressOf) {
    this.#server = server;
    this.#endOf = endOf;
    this.#addressOf = addressOf;
  }

  // Resolves when it listens at `place`, as `server.listen` understands it; errors later on go to `problem`.
  async listen(place, problem) {
    const server = this.#server;
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(place, () => {
        server.removeListener('error', reject);
        server.on('error', problem);
        resolve();
      });
    });
    return this;
  }

  // Somebody has connected.
  take(socket) {
    if (this.#closed) { // it had begun a handshake before
      socket.on('error', nothing).destroy();
      return;
    }
    this.#waiting.push(socket);
    this.#found?.();
  }

  open(found) {
    this.#found = found;
    if (this.#waiting.length > 0) found();
  }

  accept() {
    const socket = this.#waiting.shift();
    return socket === undefined ? null : this.#endOf(socket);
  }

  pause() {
    return 0;
  }

  resume() {}

  get address() {
    return this.#addressOf(this.#server.address());
  }

  setRef(on) {
    if (on) this.#server.ref();
    else this.#server.unref();
  }

  close() {
    this.#closed = true;
    this.#server.close();
    for (const socket of this.#waiting.splice(0)) socket.on('error', nothing).destroy();
  }
}

module.exports = { StreamListener };
