// The bus and BroadcastChannel have types, and wrong uses of them do not compile.

import { BroadcastChannel, openBus } from '../../index.js';
import type { Bus, BusOptions, SubscribeOptions, Subscription } from '../../index.js';

const options: BusOptions = { allow: { uid: [1] }, mode: 0o660, maxConnections: 5, maxRetained: 0, closeTimeout: 1 };
const slow: SubscribeOptions = { retained: true, policy: 'disconnect', max: 1 };

async function use(): Promise<void> {
  const bus: Bus = await openBus('rsipc:x', options);
  const subscription: Subscription = await bus.subscribe('a.*', (message, topic) => [message.anything, topic.length], slow);
  const count: number = subscription.dropped + subscription.unsubscribe() + bus.unsubscribe('a');
  await bus.publish('a', count, { retain: bus.isBroker });
  await bus.publish('a');
  await bus.ref().unref().close();
  const channel = new BroadcastChannel('x');
  channel.onmessage = (event) => event.data;
  channel.onmessage = null;
  channel.addEventListener('message', () => {});
  channel.ref().unref().postMessage(channel.name);
  channel.close();
  // @ts-expect-error nobody waits for a slow subscriber
  await bus.subscribe('a', () => {}, { policy: 'block' });
  // @ts-expect-error a topic is a text
  await bus.publish(1);
  // @ts-expect-error it needs a name
  new BroadcastChannel();
}
void use;
