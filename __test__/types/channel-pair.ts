// Channel ends, as a program would use them.

import { channelPair, ChannelEnd, fork, type Handle, type TransferredChannelEnd } from '../../index.js';

const [a, b]: [ChannelEnd, ChannelEnd] = channelPair();
channelPair({ serialization: 'advanced', transport: 'ring', maxMessageSize: 1_000, onProtocolError: 'drop' });
const handle: Handle = a;
fork('child.js').send('here', b, { receipt: true }).then(() => {});
const transferred: TransferredChannelEnd = a.configure({ maxDepth: 3 }).transfer();
const end = ChannelEnd.from(transferred);
const below: boolean = end.send({ x: 1 }, handle);
end.on('message', (message, other) => other?.close()).once('disconnect', () => {});
end.on('protocolError', ({ code }) => code);
end.request<number>({ x: 1 }, { timeout: 5 }).then((answer) => answer.toFixed());
end.onRequest((body, { signal }) => signal.aborted || body);
const closed: Promise<void> = end.close();
end.ref();
end.channel?.ready();

// @ts-expect-error ends come in pairs
new ChannelEnd();
// @ts-expect-error there is no child to kill
channelPair({ onProtocolError: 'kill' });
// @ts-expect-error nor one that could die with its parent
channelPair({ dieWithParent: true });
// @ts-expect-error both ends write in one way
b.configure({ serialization: 'json' });

export { below, closed };
