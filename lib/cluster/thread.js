'use strict';
// A worker that is a thread: what a ChildProcess is for one that is a process.
//
// Its channel is the same, a socket pair, whose other end the thread makes that of its own `process`; so what the primary
// says and reads is Node's protocol here too, and Node's own cluster is what the thread's program has.

const EventEmitter = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { inspect } = require('node:util');
const { Worker } = require('node:worker_threads');
const native = require('../binding.js');
const { settingsFrom, nativeOptions } = require('../fork/settings.js');

const INSIDE = path.join(__dirname, 'inside-thread.js');

// Closes what the thread has not come to take.
function unpark(ticket) {
  const fd = native.claimFd(ticket);
  if (fd >= 0) native.closeFd(fd);
}

class ThreadProcess extends EventEmitter {
  // `report`: what the worker is to say of itself. `onChannel` is called before anybody reads the channel.
  constructor({ exec, args, execArgv, env, silent, report, options }, onChannel) {
    super();
    this.pid = process.pid;
    this.exitCode = null;
    this.signalCode = null;
    this.killed = false;
    this.spawnfile = exec;
    this.spawnargs = args;
    this._closesNeeded = 1;
    this._closesGot = 0;
    const settings = settingsFrom(options);
    const channel = native.Channel.pair(nativeOptions(settings));
    let ticket;
    try {
      onChannel(channel);
      ticket = native.parkFd(channel.childFd);
      channel.closeChildEnd();
      const words = JSON.stringify({ ticket, exec: path.resolve(exec), serialization: settings.serialization });
      this.thread = new Worker(INSIDE, {
        argv: args,
        env: { ...env, RSIPC_THREAD: words, RSIPC_CLUSTER: report },
        ...(execArgv !== undefined && { execArgv }),
        stdin: false,
        stdout: silent,
        stderr: silent,
      });
    } catch (error) {
      if (ticket !== undefined) unpark(ticket);
      channel.close();
      throw error;
    }
    this.stdin = null;
    this.stdout = silent ? this.thread.stdout : null;
    this.stderr = silent ? this.thread.stderr : null;
    this.stdio = [this.stdin, this.stdout, this.stderr, null];
    const link = require('../fork/index.js').join(this, channel, settings);
    // What has ended it: a process would have written that itself.
    this.thread.on('error', (error) => {
      const text = `${inspect(error)}\n`;
      if (silent) this.stderr.push(text);
      else fs.writeSync(2, text);
    });
    this.thread.once('online', () => this.emit('spawn'));
    this.thread.once('exit', (code) => {
      unpark(ticket);
      link.readToEnd();
      link.inbox.behind(() => this.#ended(code));
    });
  }

  #ended(code) {
    if (this.signal === undefined) this.exitCode = code;
    else this.signalCode = this.signal;
    this.emit('exit', this.exitCode, this.signalCode);
    if (++this._closesGot === this._closesNeeded) this.emit('close', this.exitCode, this.signalCode);
  }

  // A thread has no signals: each but 0 ends it.
  kill(signal = 'SIGTERM') {
    if (this.exitCode !== null || this.signalCode !== null || this.signal !== undefined) return false;
    if (signal === 0) return true;
    this.signal = String(signal);
    this.killed = true;
    this.thread.terminate();
    return true;
  }

  ref() {
    this.thread.ref();
  }

  unref() {
    this.thread.unref();
  }
}

module.exports = { ThreadProcess };
