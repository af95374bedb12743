'use strict';
// Parents that are killed while they fork children with `dieWithParent`. The children are found by a
// word in their environment, which they have from their first moment, before exec and preload.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');

const WORD = 'RSIPC_ORPHAN_TEST';

// Living processes whose environment has the word. Only Linux tells.
function living(word) {
  const needle = Buffer.from(`${WORD}=${word}\0`);
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((pid) => {
    try {
      if (!fs.readFileSync(`/proc/${pid}/environ`).includes(needle)) return false;
      const [state] = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '');
      return state !== 'Z' && state !== 'X';
    } catch {
      return false;
    }
  });
}

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Kills `count` such parents at random moments; counts who is left a second later (a Node
// that is still starting, on a busy machine) and who never goes.
async function killParents(count, next, width = 2) {
  const result = { killed: 0, late: 0, orphans: 0, forked: 0, latest: 0 };
  let started = 0;
  const one = async () => {
    while (started < count) {
      const word = `${process.pid}-${started++}`;
      const parent = spawn(process.execPath, [path.join(__dirname, 'fixtures', 'parent.js')], { env: { ...process.env, [WORD]: word }, stdio: ['ignore', 'pipe', 'inherit'] });
      const exited = once(parent, 'exit');
      // It says when it begins to fork; from there on every moment is as good as another.
      await once(parent.stdout, 'data');
      await delay(next() * 200);
      parent.kill('SIGKILL');
      await exited;
      const killed = Date.now();
      let left = living(word);
      result.forked += left.length;
      while (left.length > 0 && Date.now() - killed < 1_000) {
        await delay(10);
        left = living(word);
      }
      result.late += left.length;
      while (left.length > 0 && Date.now() - killed < 10_000) {
        await delay(50);
        left = living(word);
      }
      result.orphans += left.length;
      for (const pid of left) process.kill(Number(pid), 'SIGKILL');
      result.latest = Math.max(result.latest, Date.now() - killed);
      result.killed++;
    }
  };
  await Promise.all(Array.from({ length: width }, one));
  return result;
}

module.exports = { killParents };
