'use strict';
// `stdio:`: what this process was started with. Messages come on its standard input and leave on its standard output,
// which nobody else writes to from then on: `console.log`, libraries in C and children get the standard error instead.

const fs = require('node:fs');
const net = require('node:net');
const { Writable } = require('node:stream');
const native = require('../binding.js');
const { rsipc } = require('../errors.js');

let taken = false;

// What was written is written when `write` returns, as with Node's own standard output on a pipe: nothing is lost at
// exit.
function output(fd) {
  const kind = fs.fstatSync(fd);
  if (kind.isFIFO() || kind.isSocket()) {
    const socket = new net.Socket({ fd, readable: false, writable: true });
    socket._handle.setBlocking?.(true);
    return socket;
  }
  return new Writable({
    decodeStrings: true,
    write(chunk, encoding, done) {
      let at = 0;
      try {
        while (at < chunk.length) at += fs.writeSync(fd, chunk, at);
        done();
      } catch (error) {
        done(error);
      }
    },
    final(done) {
      fs.closeSync(fd);
      done();
    },
  });
}

function halves() {
  if (taken) throw rsipc.stdioTaken();
  taken = true;
  // Where Node has one for it already, what it has written of its own comes first.
  const fd = native.guardStdout();
  return [process.stdin, output(fd), 'stdio:'];
}

module.exports = { halves };
