// Code written for node:child_process compiles against rsipc with only the module's name changed.

import * as net from 'node:net';
import * as nodeChildProcess from 'node:child_process';
import { ChildProcess, exec, execFile, execFileSync, execSync, fork, spawn, spawnSync } from '../../index.js';
import type { ForkOptions, Serializable, SpawnOptions, StdioOptions } from '../../index.js';
import * as rsipc from '../../index.js';

// The module itself can stand where Node's is asked for.
const replacement: typeof nodeChildProcess.fork = rsipc.fork;
const replacementSpawn: typeof nodeChildProcess.spawn = rsipc.spawn;
const inherited: typeof nodeChildProcess.exec = exec;
const options: ForkOptions = { silent: true, stdio: ['pipe', 'pipe', 'pipe', 'ipc'] satisfies StdioOptions };

// A forked child is a ChildProcess, for a variable and for a function.
let child: ChildProcess = fork('./worker.js', ['a'], options);
const take = (one: ChildProcess): number | undefined => one.pid;
take(fork(new URL('file:///worker.js')));
take(fork('./worker.js', { serialization: 'advanced' }));

// Node's calls, in Node's forms.
const forked = fork('./worker.js');
const full: boolean = forked.send('text');
forked.send({ a: 1 }, (error: Error | null) => error);
forked.send(1, new net.Socket());
forked.send(true, new net.Server(), { keepOpen: true });
forked.send({}, new net.Socket(), { keepOpen: true }, (error) => error?.message);
forked.send('x', undefined, undefined, () => {});
forked.on('message', (message, handle) => [message, handle]);
forked.on('message', (message: Serializable) => message);
forked.once('exit', (code: number | null, signal: NodeJS.Signals | null) => [code, signal]).kill();
forked.on('disconnect', () => {}).on('error', (error) => error.message).unref();
forked.disconnect();
const stdout: NodeJS.ReadableStream | null = forked.stdout;

// A spawn without a channel keeps Node's types.
const plain = spawn('ls', ['-l']);
plain.stdout.on('data', (chunk) => chunk);
plain.stdin.end();
const quiet: SpawnOptions = { stdio: 'ignore' };
const ignored: ChildProcess = spawn('ls', quiet);
execFile('ls', (error, out, err) => [error, out.length, err.length]);
const buffer: Buffer = execFileSync('ls');
const text: string = execSync('ls', { encoding: 'utf8' });
const status: number | null = spawnSync('ls').status;

// @ts-expect-error a path is needed
fork();
// @ts-expect-error a symbol is no message
forked.send(Symbol('x'));
// @ts-expect-error an object that only has a descriptor is no handle
forked.send('x', { fd: 1 });
// @ts-expect-error Node has no such option
fork('./worker.js', { silence: true });
// @ts-expect-error a plain spawn has no requests
plain.request('x');
