// Compiled against the installed package: its types are found from CommonJS.
import rsipc = require('rsipc');
import { fork } from 'rsipc';
import 'rsipc/register';

const child: rsipc.IpcChildProcess = fork('./child.js', { dieWithParent: true });
export const pid: number | undefined = child.pid;
