// Runs one client to its end in a process group of its own, so that whatever it started can be
// found afterwards, even when it outlived its parent.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

// Workers end when their parent's end of the channel closes; that takes them moments, not this long.
const GRACE = 10_000;

const groups = new Set();

/**
 * @returns what is known at the end: exit code or signal, output, milliseconds, whether the limit
 * ended it, and the command lines of processes still alive after a time of grace.
 */
export async function launch(args, { cwd, env, limit }) {
  const start = performance.now();
  const child = spawn(process.execPath, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  groups.add(child.pid);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => { output += text; });
  }
  let hung = false;
  const watchdog = setTimeout(() => {
    hung = true;
    killGroup(child.pid);
  }, limit);
  // 'exit' and not 'close': a leftover process holds the pipes open, and it is to be found, not waited for.
  const closed = once(child, 'close');
  const [code, signal] = await once(child, 'exit');
  clearTimeout(watchdog);
  const ms = performance.now() - start;
  const left = await leftovers(child.pid);
  killGroup(child.pid);
  groups.delete(child.pid);
  await closed;
  return { code, signal, output, ms, hung, left };
}

/** For the driver's own end by a signal. */
export function killAll() {
  for (const group of groups) killGroup(group);
}

function killGroup(group) {
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

async function leftovers(group) {
  const deadline = performance.now() + GRACE;
  for (;;) {
    const alive = members(group);
    if (alive.length === 0 || performance.now() > deadline) return alive;
    await delay(20);
  }
}

/** Command lines of the group's live members; a zombie waits for its parent's attention only. */
function members(group) {
  return (process.platform === 'linux' ? fromProc() : fromPs())
    .filter((entry) => entry.group === group && !/^[ZX]/.test(entry.state))
    .map((entry) => entry.command);
}

function fromProc() {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      // pid (name) state parent group …; the name may hold spaces and brackets.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return [{ state, group: Number(group), command }];
    } catch (error) {
      // Gone between the listing and the reading.
      if (error.code === 'ENOENT' || error.code === 'ESRCH') return [];
      throw error;
    }
  });
}

function fromPs() {
  return execFileSync('ps', ['-axo', 'pgid=,stat=,command='], { encoding: 'utf8' }).trim().split('\n').map((line) => {
    const [, group, state, command] = line.match(/^\s*(\d+)\s+(\S+)\s+(.*)$/);
    return { state, group: Number(group), command };
  });
}
