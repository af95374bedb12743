'use strict';
// Endpoints where several users are: whose files there are, who may come in, and what somebody gains who has taken a
// name before us. Each user is a process of its own. Only root can make those: who is not is root of a user namespace.

const { test, describe } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { spawn, spawnSync } = require('node:child_process');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');

const FIXTURE = path.join(__dirname, '../fixtures/endpoint/user.js');
const OURS = 61_001;
const OTHER = 61_002;
const SHARED = 61_003; // a group

// Whether this process can become other users; what to put in front of a command that shall.
function whereUsersAre() {
  const asks = (...command) => spawnSync(command[0], [...command.slice(1), process.execPath, FIXTURE, OURS, OURS, ''], { input: '', timeout: 30_000 }).status === 0;
  if (process.getuid?.() === 0) return asks('env') ? [] : null;
  const wrapper = ['unshare', '--user', '--map-root-user', '--map-auto', '--'];
  return process.platform === 'linux' && asks(...wrapper) ? wrapper : null;
}

const wrapper = whereUsersAre();
if (wrapper === null) {
  console.error('NOT TESTED: two users at endpoints. It takes root, or user namespaces with subordinate ids, and sources that every user can read.');
} else if (wrapper.length > 0) {
  // Once more, with the ids that the namespace has.
  const { status } = spawnSync(wrapper[0], [...wrapper.slice(1), process.execPath, __filename], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
} else {
  leavesNothing();
}

// A process of this user. Its methods are those of the fixture: they resolve with what it says.
async function user(t, uid, groups = '', env = {}) {
  const child = spawn(process.execPath, [FIXTURE, uid, uid, groups], { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  const lines = readline.createInterface({ input: child.stdout });
  const next = async () => JSON.parse((await happened(lines, 'line'))[0]);
  t.after(async () => {
    const ended = child.exitCode === null && child.signalCode === null ? happened(child, 'close') : null;
    child.kill('SIGKILL');
    await ended;
  });
  assert.deepStrictEqual(await next(), { value: uid });
  return new Proxy({}, {
    get: (_, name) => (name === 'then' ? undefined : async (...args) => {
      const answer = next();
      child.stdin.write(`${JSON.stringify([name, ...args])}\n`);
      return answer;
    }),
  });
}

// A directory as /tmp is, or as a user's own.
function directory(mode = 0o1777, owner = 0) {
  const made = temporary();
  fs.chmodSync(made, mode);
  fs.chownSync(made, owner, owner);
  return made;
}

// The owner, group and mode of a file.
function form(file) {
  const { uid, gid, mode } = fs.lstatSync(file);
  return [uid, gid, (mode & 0o7777).toString(8)];
}

const done = (answer) => assert.deepStrictEqual(answer, {}, answer.message);
const named = (file) => `unix:${file}`;

describe('two users', { skip: wrapper === null || wrapper.length > 0 }, () => {
  test('a socket\'s file is its server\'s alone, or has the mode and owner that were asked for', async (t) => {
    const one = await user(t, OURS);
    const root = await user(t, 0);
    const folder = directory();
    const cases = [
      [one, {}, [OURS, OURS, '600']],
      [one, { mode: 0o666 }, [OURS, OURS, '666']], // whatever the umask
      [one, { mode: 0o620 }, [OURS, OURS, '620']],
      [root, {}, [0, 0, '600']],
      [root, { uid: OTHER, gid: SHARED, mode: 0o660 }, [OTHER, SHARED, '660']],
      [root, { gid: SHARED }, [0, SHARED, '600']],
    ];
    for (const [index, [whose, options, expected]] of cases.entries()) {
      const file = path.join(folder, `${index}.sock`);
      done(await whose.serve(named(file), options));
      assert.deepStrictEqual(form(file), expected);
      assert.strictEqual(form(path.join(folder, `.${index}.sock.lock`))[2], '600');
    }
    for (const scheme of ['unix+seqpacket:', 'unix+dgram:']) {
      const file = path.join(folder, scheme.slice(0, -1));
      done(await root.serve(`${scheme}${file}`, { uid: OTHER, gid: SHARED, mode: 0o660 }));
      assert.deepStrictEqual(form(file), [OTHER, SHARED, '660']);
    }
    const refused = await one.serve(named(path.join(folder, 'given-away')), { uid: OTHER });
    assert.strictEqual(refused.code, 'EPERM');
    done(await one.close());
    done(await root.close());
    assert.deepStrictEqual(fs.readdirSync(folder), []);
  });

  test('another user is kept out by the file, and behind it by who it is, unless it is on the list', async (t) => {
    const folder = directory();
    const root = await user(t, 0);
    const other = await user(t, OTHER);
    const member = await user(t, OTHER, `5,${SHARED}`);
    const trusting = { allow: { uid: 0 } };
    const at = (name) => named(path.join(folder, name));

    done(await root.serve(at('private')));
    assert.strictEqual((await other.connect(at('private'), trusting)).code, 'EACCES');

    done(await root.serve(at('same'), { mode: 0o666 }));
    assert.strictEqual((await other.connect(at('same'))).code, 'ERR_RSIPC_PEER_REFUSED'); // nor is that server trusted
    assert.strictEqual((await other.connect(at('same'), trusting)).code, 'ERR_RSIPC_PEER_GONE');
    assert.deepStrictEqual(await root.told(), { value: [] });
    assert.deepStrictEqual((await root.connect(at('same'))).value, { sees: 0, is: 0 });

    const cases = [
      [{ uid: [OURS] }, other, false],
      [{ uid: [OURS, OTHER] }, other, true],
      [{ gid: SHARED }, other, false],
      [{ gid: SHARED }, member, true],
      [{ uid: 'same', gid: OTHER }, other, true],
      ['anyone', other, true],
    ];
    for (const [index, [allow, whose, expected]] of cases.entries()) {
      done(await root.serve(at(`list-${index}`), { mode: 0o666, allow }));
      const answer = await whose.connect(at(`list-${index}`), trusting);
      if (expected) assert.deepStrictEqual(answer.value, { sees: 0, is: OTHER }, JSON.stringify(allow));
      else assert.strictEqual(answer.code, 'ERR_RSIPC_PEER_GONE', JSON.stringify(allow));
    }
  });

  test('packets are taken from the same users as streams', async (t) => {
    const folder = directory();
    const [one, other] = [await user(t, OURS), await user(t, OTHER)];
    const trusting = { allow: { uid: OURS } };
    const at = (scheme) => `${scheme}${path.join(folder, scheme.slice(0, -1))}`;
    done(await one.serve(at('unix+seqpacket:'), { mode: 0o666 }));
    assert.strictEqual((await other.connect(at('unix+seqpacket:'))).code, 'ERR_RSIPC_PEER_REFUSED');
    await other.say(at('unix+seqpacket:'), trusting);
    done(await one.serve(at('unix+dgram:'), { mode: 0o666 }));
    await other.say(at('unix+dgram:'), trusting);
    await until(async () => (await one.refused()).value === 1, 'the datagram to be refused');
    assert.deepStrictEqual(await one.told(), { value: [] });
    done(await one.serve(at('unix+dgram:') + 2, { mode: 0o666, allow: { uid: OTHER } }));
    done(await other.say(at('unix+dgram:') + 2, trusting));
    await until(async () => (await one.told()).value.includes('connection'), 'the datagram to be taken');
  });

  test('root is no exception: a user\'s server does not serve it unasked', async (t) => {
    const folder = directory();
    const one = await user(t, OURS);
    const root = await user(t, 0);
    const endpoint = named(path.join(folder, 's'));
    done(await one.serve(endpoint));
    assert.strictEqual((await root.connect(endpoint)).code, 'ERR_RSIPC_PEER_REFUSED');
    assert.strictEqual((await root.connect(endpoint, { allow: { uid: OURS } })).code, 'ERR_RSIPC_PEER_GONE');
    assert.deepStrictEqual(await one.told(), { value: [] });
  });

  test('an abstract name has no file, and its users are told apart all the same', async (t) => {
    const [one, other] = [await user(t, OURS), await user(t, OTHER)];
    const endpoint = `unix:@rsipc-test-users-${process.pid}`;
    done(await one.serve(endpoint));
    assert.strictEqual((await other.connect(endpoint)).code, 'ERR_RSIPC_PEER_REFUSED');
    assert.strictEqual((await other.connect(endpoint, { allow: { uid: OURS } })).code, 'ERR_RSIPC_PEER_GONE');
    assert.deepStrictEqual((await one.connect(endpoint)).value, { sees: OURS, is: OURS });
    assert.strictEqual((await other.serve(endpoint)).code, 'EADDRINUSE');
  });

  test('whoever has taken a name before us gains no client and no file of ours', async (t) => {
    const folder = directory();
    const file = path.join(folder, 'app.sock');
    const lock = path.join(folder, '.app.sock.lock');
    const precious = path.join(directory(0o700), 'precious');
    fs.writeFileSync(precious, 'kept');
    const root = await user(t, 0);
    const other = await user(t, OTHER);

    // Another user's server, living and gone.
    done(await other.squat(file));
    assert.strictEqual((await root.serve(named(file))).code, 'ERR_RSIPC_UNTRUSTED');
    assert.strictEqual((await root.connect(named(file))).code, 'ERR_RSIPC_PEER_REFUSED');
    assert.deepStrictEqual(await other.heard(), { value: 0 });
    const dying = await user(t, OTHER);
    const stale = path.join(folder, 'stale');
    done(await dying.squat(stale));
    done(await dying.fs('linkSync', stale, file + 2));
    done(await dying.close());
    assert.strictEqual((await root.serve(named(file + 2))).code, 'ERR_RSIPC_UNTRUSTED');
    done(await other.fs('unlinkSync', file + 2));
    done(await other.close());

    for (const [trick, remove] of [
      [['symlinkSync', precious, file], ['unlinkSync', file]],
      [['symlinkSync', path.join(folder, 'nowhere'), file], ['unlinkSync', file]],
      [['mkdirSync', file], ['rmdirSync', file]],
      [['writeFileSync', file, ''], ['unlinkSync', file]],
      [['writeFileSync', lock, '', { mode: 0o600 }], ['unlinkSync', lock]],
      [['writeFileSync', lock, '', { mode: 0o666 }], ['unlinkSync', lock]],
      [['symlinkSync', precious, lock], ['unlinkSync', lock]],
      [['symlinkSync', path.join(folder, 'nowhere'), lock], ['unlinkSync', lock]],
      [['mkdirSync', lock], ['rmdirSync', lock]],
    ]) {
      done(await other.fs(...trick));
      const before = fs.readdirSync(folder);
      const refused = await root.serve(named(file));
      // In such directories the kernel itself refuses to open what another user has made.
      assert.ok(['ERR_RSIPC_UNTRUSTED', 'EACCES'].includes(refused.code), `${trick}: ${refused.code} ${refused.message}`);
      assert.ok(refused.message.startsWith('unix:'), refused.message);
      assert.deepStrictEqual(fs.readdirSync(folder), before, `${trick}`);
      done(await other.fs(...remove));
    }
    assert.strictEqual(fs.readFileSync(precious, 'utf8'), 'kept');
    assert.deepStrictEqual(fs.readdirSync(folder), []);

    // And when the way is free again, nothing of all that stands in it.
    done(await root.serve(named(file)));
    assert.deepStrictEqual((await root.connect(named(file))).value, { sees: 0, is: 0 });
    assert.strictEqual((await other.serve(named(file))).code, 'ERR_RSIPC_UNTRUSTED');
    for (const name of [file, lock]) assert.strictEqual((await other.fs('unlinkSync', name)).code, 'EPERM');
    done(await root.close());
    assert.deepStrictEqual(fs.readdirSync(folder), []);
  });

  test('a directory that everybody can write to must be sticky; one that cannot be written to says so', async (t) => {
    const [one, other] = [await user(t, OURS), await user(t, OTHER)];
    const open = path.join(directory(0o777), 's');
    const refused = await one.serve(named(open));
    assert.strictEqual(refused.code, 'ERR_RSIPC_UNTRUSTED', refused.message);
    const foreign = path.join(directory(0o755), 's');
    assert.strictEqual((await one.serve(named(foreign))).code, 'EACCES');
    const sticky = path.join(directory(0o1777), 's');
    done(await one.serve(named(sticky), { mode: 0o666, allow: 'anyone' }));
    assert.deepStrictEqual((await other.connect(named(sticky), { allow: { uid: OURS } })).value, { sees: OURS, is: OTHER });
  });

  test('a link on the way to the directory is followed, to a server that is still known by its user', async (t) => {
    const [one, other] = [await user(t, OURS), await user(t, OTHER)];
    const own = directory(0o755, OURS);
    const link = path.join(directory(0o755, OURS), 'link');
    done(await one.fs('symlinkSync', own, link));
    done(await one.serve(named(path.join(link, 's'))));
    assert.deepStrictEqual(form(path.join(own, 's')), [OURS, OURS, '600']);
    assert.deepStrictEqual((await one.connect(named(path.join(own, 's')))).value, { sees: OURS, is: OURS });

    // The link is turned to a directory in which another user serves under the same name.
    const theirs = directory(0o755, OTHER);
    done(await other.serve(named(path.join(theirs, 's')), { mode: 0o666, allow: 'anyone' }));
    done(await one.fs('unlinkSync', link));
    done(await one.fs('symlinkSync', theirs, link));
    assert.strictEqual((await one.connect(named(path.join(link, 's')))).code, 'ERR_RSIPC_PEER_REFUSED');
    assert.deepStrictEqual(await other.told(), { value: [] });
    assert.strictEqual((await one.serve(named(path.join(link, 's')))).code, 'ERR_RSIPC_UNTRUSTED');
    done(await one.close()); // takes away what it has made, where it has made it
    assert.deepStrictEqual(fs.readdirSync(own), []);
    assert.deepStrictEqual(fs.readdirSync(theirs).sort(), ['.s.lock', 's']);
  });

  test('the private run directory is taken from nobody else, and shown to nobody', async (t) => {
    const parent = directory();
    const at = (name) => path.join(parent, name);
    const runs = (name) => user(t, OURS, '', { RSIPC_RUN_DIR: at(name) });

    const made = await runs('made');
    done(await made.serve('rsipc:name'));
    assert.deepStrictEqual(form(at('made')), [OURS, OURS, '700']);
    const guest = await user(t, OTHER, '', { RSIPC_RUN_DIR: at('made') });
    for (const answer of [await guest.connect('rsipc:name', { allow: 'anyone' }), await guest.serve('rsipc:name')]) {
      assert.strictEqual(answer.code, 'ERR_RSIPC_SYSTEM', answer.message); // it cannot even look
    }

    const other = await user(t, OTHER);
    done(await other.fs('mkdirSync', at('theirs'), { mode: 0o777 }));
    done(await other.fs('chmodSync', at('theirs'), 0o777));
    done(await other.fs('symlinkSync', at('made'), at('link')));
    done(await other.fs('writeFileSync', at('file'), ''));
    const one = await user(t, OURS);
    done(await one.fs('mkdirSync', at('open')));
    done(await one.fs('chmodSync', at('open'), 0o755));
    for (const name of ['theirs', 'link', 'file', 'open']) {
      const whose = await runs(name);
      for (const answer of [await whose.serve('rsipc:name'), await whose.connect('rsipc:name')]) {
        assert.ok(['ERR_RSIPC_UNTRUSTED', 'ERR_RSIPC_SYSTEM'].includes(answer.code), `${name}: ${answer.code} ${answer.message}`);
      }
    }
    assert.deepStrictEqual(fs.readdirSync(at('theirs')), []);
    assert.deepStrictEqual(fs.readdirSync(at('open')), []);
  });

  test('where nobody has said where it is, a run directory that another user has made first is an error', async (t) => {
    const squatted = `/dev/shm/rsipc-${OURS}`;
    fs.rmSync(squatted, { recursive: true, force: true });
    t.after(() => fs.rmSync(squatted, { recursive: true, force: true }));
    const other = await user(t, OTHER);
    done(await other.fs('mkdirSync', squatted, { mode: 0o777 }));
    const one = await user(t, OURS, '', { RSIPC_RUN_DIR: '', XDG_RUNTIME_DIR: '' });
    assert.strictEqual((await one.serve('rsipc:name')).code, 'ERR_RSIPC_UNTRUSTED');
    assert.deepStrictEqual(fs.readdirSync(squatted), []);
    fs.rmdirSync(squatted);
    done(await one.serve('rsipc:name'));
    assert.deepStrictEqual(form(squatted), [OURS, OURS, '700']);
    // Another login's directory, kept by `su`, is passed over.
    const switched = await user(t, OURS, '', { RSIPC_RUN_DIR: '', XDG_RUNTIME_DIR: directory(0o700, OTHER) });
    assert.deepStrictEqual((await switched.connect('rsipc:name')).value, { sees: OURS, is: OURS });
  });

  test('messages as files and named pipes are taken from the own user', async (t) => {
    const folder = directory();
    const [one, other] = [await user(t, OURS), await user(t, OTHER)];
    const at = (name) => path.join(folder, name);
    done(await one.serve(`file:${at('own')}/`));
    assert.deepStrictEqual(form(at('own')), [OURS, OURS, '700']);
    done(await one.serve(`fifo:${at('pipe')}`));
    assert.deepStrictEqual(form(at('pipe')), [OURS, OURS, '600']);
    done(await other.fs('mkdirSync', at('theirs')));
    done(await other.fs('chmodSync', at('theirs'), 0o777));
    assert.strictEqual((await one.serve(`file:${at('theirs')}/`)).code, 'ERR_RSIPC_UNTRUSTED');
    assert.strictEqual((await one.connect(`file:${at('theirs')}/`)).code, 'ERR_RSIPC_UNTRUSTED');
    done(await other.fs('writeFileSync', at('no-pipe'), ''));
    for (const name of ['no-pipe', 'pipe']) {
      const whose = name === 'pipe' ? other : one;
      const { code, message } = await whose.serve(`fifo:${at(name)}`);
      assert.ok(['ERR_RSIPC_UNTRUSTED', 'EACCES'].includes(code), message);
    }
  });
});
