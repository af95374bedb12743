// Named and default imports from an ES module.

import rsipc, { ChildProcess, exec, fork, parent, Fd } from '../../index.mjs';
import type { IpcChildProcess } from '../../index.mjs';
import '../../register.js';

const child: IpcChildProcess = fork('./child.js');
const same: ChildProcess = rsipc.fork('./child.js', { dieWithParent: true });
const fd: InstanceType<typeof Fd> = new rsipc.Fd(0);
exec('true');
parent?.getOneMessage();

// @ts-expect-error no such export
rsipc.nothing;
