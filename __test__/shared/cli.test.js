'use strict';
// `rsipc ls` and `rsipc clean`.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { spawnSync } = require('node:child_process');
const { directory, unique, bells } = require('../helpers/shared.js');
const { rsipc, node, ROOT, fixture, environment } = require('../helpers/modules.js');
const { happened } = require('../helpers/wait.js');

const { Ring, Cell } = rsipc;
const { bin } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));

function run(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(ROOT, bin.rsipc), ...args], { encoding: 'utf8', env: environment(false) });
  return { status, stdout, stderr };
}

test('help is told on stdout, wrong usage on stderr with exit code 2', () => {
  const help = run('--help');
  assert.strictEqual(help.status, 0);
  assert.match(help.stdout, /^usage: rsipc <command>/);
  for (const [args, why] of [[[], 'name a command'], [['lst'], 'there is no command lst'], [['ls', 'clean'], 'name one command'], [['ls', '--long'], 'there is no option --long'], [['ls', '--', 'clean'], 'name one command'], [['toString'], 'there is no command toString']]) {
    const { status, stdout, stderr } = run(...args);
    assert.deepStrictEqual([status, stdout, stderr.split('\n')[0]], [2, '', `rsipc: ${why}`]);
  }
});

test('--version is that of the package', () => {
  const { version } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  assert.deepStrictEqual(run('--version'), { status: 0, stdout: `${version}\n`, stderr: '' });
});

test('ls tells objects, kinds, sizes and who has them', () => {
  assert.deepStrictEqual(run('ls'), { status: 0, stdout: `${directory}\nno objects\n`, stderr: '' });
  const ring = Ring.create({ capacity: 65_536, name: `b-${unique()}`, flavor: 'mpsc' });
  ring.producer();
  ring.consumer();
  const cell = Cell.create({ capacity: 10, name: `a-${unique()}` });
  cell.close();
  const { status, stdout } = run('ls');
  assert.strictEqual(status, 0);
  const lines = stdout.split('\n');
  assert.match(lines[1], /^NAME +KIND +SIZE +USED BY$/);
  assert.match(lines[2], new RegExp(`^${cell.name} +cell +8\\.6 KiB +nobody$`));
  assert.match(lines[3], new RegExp(`^${ring.name} +ring mpsc +72\\.5 KiB +${process.pid} producer, ${process.pid} consumer$`));
  assert.strictEqual(lines[4], '1 object that nobody uses: rsipc clean removes it');
  const listing = JSON.parse(run('ls', '--json').stdout);
  assert.strictEqual(listing.directory, directory);
  assert.deepStrictEqual(listing.objects.map(({ name, kind, inUse, parties }) => [name, kind, inUse, parties.length]), [[cell.name, 'cell', false, 0], [ring.name, 'ring mpsc', true, 2]]);
  assert.deepStrictEqual(listing.objects[1].parties[0], { pid: process.pid, role: 1, alive: true });
  ring.unlink();
  ring.close();
  const again = Cell.open(cell.name);
  again.unlink();
  again.close();
});

test('the socket of a killed server is told and removed', async () => {
  Cell.create({ capacity: 10, name: unique() }).close();
  const world = path.join(directory, fs.readdirSync(directory).find((name) => /^[0-9a-f]{16}$/.test(name)));
  run('clean');
  const name = path.join(world, 'app.sock');
  const server = net.createServer().listen(name);
  await happened(server, 'listening');
  // Closing removes it.
  fs.linkSync(name, `${name}.kept`);
  server.close();
  fs.renameSync(`${name}.kept`, name);
  const { stdout } = run('ls');
  assert.match(stdout, /^app +server +nobody$/m);
  assert.match(stdout, /^1 socket of killed servers: rsipc clean removes it$/m);
  assert.deepStrictEqual(JSON.parse(run('ls', '--json').stdout).servers, [{ name: 'app', alive: false }]);
  assert.match(run('clean').stdout, /^removed 0 objects, 0 bells, 1 socket; /);
  assert.deepStrictEqual(fs.readdirSync(world).filter((file) => file.includes('app')), []);
});

test('clean removes what is dead and nothing that is used', async () => {
  const used = Cell.create({ capacity: 10, name: unique() });
  Cell.create({ capacity: 10, name: unique() }).close();
  const ring = Ring.create({ capacity: 4_096, name: unique() });
  const child = node.fork(fixture('shared/peer'), ['sleep', ring.name], { env: environment(false) });
  const exited = happened(child, 'exit');
  await happened(child, 'message');
  ring.close();
  assert.strictEqual(run('clean').stdout, 'removed 1 object, 0 bells; 3 in use\n');
  child.kill('SIGKILL');
  await exited;
  assert.strictEqual(bells().length, 1);
  const { stdout } = run('ls');
  assert.match(stdout, new RegExp(`${ring.name} .*${child.pid} consumer \\(dead\\)\n`));
  assert.match(stdout, /1 object that nobody uses and 1 bell of dead processes: rsipc clean removes them\n/);
  assert.deepStrictEqual(JSON.parse(run('clean', '--json').stdout), { objects: 1, bells: 1, sockets: 0, worlds: 0, kept: 1, problems: [], runs: 0 });
  assert.strictEqual(String(used.get()), 'undefined');
  used.unlink();
  used.close();
});

test('what is no object is told, left, and makes the exit code 1', () => {
  const world = path.join(directory, fs.readdirSync(directory).find((name) => /^[0-9a-f]{16}$/.test(name)));
  const stranger = path.join(world, 'notes.txt');
  fs.writeFileSync(stranger, 'mine');
  assert.match(run('ls').stdout, /\nnot of rsipc: "notes\.txt"\n$/);
  const { status, stderr } = run('clean');
  assert.strictEqual(status, 1);
  assert.match(stderr, /^rsipc: not removed: notes\.txt: /);
  assert.ok(fs.existsSync(stranger));
  fs.unlinkSync(stranger);
});

test('a run directory that cannot be used is an error of one line', () => {
  fs.chmodSync(directory, 0o755);
  const { status, stdout, stderr } = run('ls');
  fs.chmodSync(directory, 0o700);
  assert.deepStrictEqual([status, stdout], [1, '']);
  assert.match(stderr, /^rsipc: the run directory .*its mode should be 700.* \(ERR_RSIPC_UNTRUSTED\)\n$/);
});
