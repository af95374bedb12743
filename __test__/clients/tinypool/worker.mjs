// What tinypool's workers export: the common work, and tasks that deal with the worker itself.

import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import work from '../work.cjs';

export const {
  survey, releases, sort, ledger, words, template, digest, repeat, echo, later, throwError, throwFromSemver, reject,
} = work;

// tinypool's workers have no environment unless given one; they start in the run's folder.
const mark = (name) => path.resolve(name);

export function pid() {
  return process.pid;
}

export function exit({ code }) {
  process.exit(code);
}

export function kill() {
  process.kill(process.pid, 'SIGKILL');
  for (;;);
}

/** Takes its worker down at the first try and answers at the second. */
export function exitOnce({ name, value }) {
  if (existsSync(mark(name))) return value;
  writeFileSync(mark(name), '');
  process.exit(9);
}

/** An answer that no message can hold. */
export function unanswerable() {
  return { amount: 1n };
}

/** Answers every question on the raw channel, beside tinypool's own messages, then says how many. */
export function converse({ questions }) {
  return new Promise((resolve) => {
    let heard = 0;
    const listener = (message) => {
      if (message?.kind !== 'question') return;
      heard += 1;
      process.send({ kind: 'answer', n: message.n, length: message.text.length });
      if (heard === questions) {
        process.off('message', listener);
        resolve(heard);
      }
    };
    process.on('message', listener);
    process.send({ kind: 'ready' });
  });
}

export function print({ lines }) {
  for (let n = 0; n < lines; n += 1) console.log('worker line %d', n);
  return lines;
}

export function close() {
  appendFileSync(mark('closed'), 'closed\n');
}
