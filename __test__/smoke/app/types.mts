// Compiled against the installed package: its types are found from ES modules.
import rsipc, { fork, type IpcChildProcess } from 'rsipc';
import 'rsipc/register';

const child: IpcChildProcess = fork('./child.js', { serialization: 'advanced' });
export const same: boolean = rsipc.fork === fork && child.connected;
