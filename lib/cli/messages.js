'use strict';
// `rsipc send` and `rsipc tail`: messages to an endpoint, and from one, as lines of JSON; with a topic, to and from a bus.

const { once } = require('node:events');
const readline = require('node:readline');
const { UsageError, duration, whole } = require('./options.js');

const CODECS = ['json', 'v8', 'raw', 'lines', 'lsp'];
const TIMEOUT = '10s';

// ---- what both have ----

const OPTIONS = {
  codec: { kind: 'value', short: 'c' },
  timeout: { kind: 'value', short: 't' },
  topic: { kind: 'value' },
};

const TOLD = `  -c, --codec CODEC      how the other side writes messages: ${CODECS.join(', ')}. Default: json, which is rsipc's own;
                         lines is for programs that write JSON lines
  -t, --timeout TIME     how long a connection and an answer may take (${TIMEOUT})
`;

// With a topic the endpoint is a bus, which has none of the options that say how a connection is to be.
function withTopic(options) {
  if (options.topic === undefined) return false;
  const other = ['codec', 'timeout', 'request', 'listen', 'reconnect'].find((name) => options[name] !== undefined);
  if (other !== undefined) throw new UsageError(`--topic is for a bus, and --${other} is not`);
  return true;
}

function settingsOf({ codec = 'json', timeout = TIMEOUT, request }) {
  if (!CODECS.includes(codec)) throw new UsageError(`--codec is one of ${CODECS.join(', ')}, not ${codec}`);
  const time = duration(timeout, '--timeout');
  // What waits for a reader that is slow is written before this ends.
  // A message of these codecs is anything, a request JSON-RPC.
  const jsonRpc = request !== undefined && (codec === 'lines' || codec === 'lsp');
  return { codec, jsonRpc, timeout: time, closeTimeout: time, acceptHandles: [] };
}

// ---- messages as text ----

// What JSON has no form for, and other codecs carry.
function plain(key, value) {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Map || value instanceof Set) return [...value];
  return value;
}

function lineOf(message) {
  if (!Buffer.isBuffer(message)) return JSON.stringify(message, plain) ?? 'null';
  const text = message.toString();
  return JSON.stringify(Buffer.from(text).equals(message) ? text : { base64: message.toString('base64') });
}

// With codec 'raw' a message is the bytes of its text.
function messageOf(text, codec, where) {
  if (codec === 'raw') return Buffer.from(text);
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${where} is not JSON: ${text.length > 60 ? `${text.slice(0, 60)}…` : text}; a string needs quotes, '"like this"'`);
  }
}

// `rsipc tail … | head` ends both.
const quitWithReader = () => process.stdout.on('error', () => process.exit(0));

async function print(message) {
  if (!process.stdout.write(`${lineOf(message)}\n`)) await once(process.stdout, 'drain');
}

// ---- send ----

const SEND = `usage: rsipc send ENDPOINT [MESSAGE …] [options] [-- MESSAGE …]

Sends messages to whoever serves an endpoint: JSON texts, one each. Without any, each line of the standard input is one.

  -r, --request NAME     asks the handler of this name, once for each message, and prints the answers; with codec lines and
                         lsp as JSON-RPC
      --topic TOPIC      publishes them on a bus
${TOLD}
rsipc send rsipc:jobs '{"add":[1,2]}'
rsipc send tcp://127.0.0.1:4000 --codec lines < messages.jsonl
rsipc send rsipc:calculator --request add '{"a":1,"b":2}'
rsipc send rsipc:events --topic orders.new '{"item":"tea"}'
`;

async function* linesOfInput(codec) {
  let number = 0;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    number++;
    if (line !== '') yield messageOf(line, codec, `line ${number} of the input`);
  }
}

async function send({ options, words: [endpoint, ...words], behind }) {
  if (endpoint === undefined) throw new UsageError('name an endpoint', SEND);
  const settings = settingsOf(options);
  const texts = [...words, ...behind];
  const messages = texts.length > 0
    ? texts.map((text, at) => messageOf(text, settings.codec, `message ${at + 1}`)) // all, before the first is sent
    : linesOfInput(settings.codec);
  quitWithReader();
  if (withTopic(options)) return publish(endpoint, options.topic, messages);
  const connection = await require('../endpoint/index.js').connect(endpoint, settings);
  try {
    for await (const message of messages) {
      if (options.request === undefined) await connection.send(message);
      else await print(await connection.request(options.request, message, { timeout: settings.timeout }));
    }
  } finally {
    const since = Date.now();
    await connection.close();
    if (Date.now() - since >= settings.closeTimeout) process.stderr.write(`rsipc: what was sent may not all have been read: ${endpoint} takes longer than ${settings.closeTimeout} ms\n`);
  }
  return 0;
}

async function publish(endpoint, topic, messages) {
  const bus = await require('../bus/index.js').openBus(endpoint);
  try {
    for await (const message of messages) await bus.publish(topic, message);
  } finally {
    await bus.close();
  }
  return 0;
}

// ---- tail ----

const TAIL = `usage: rsipc tail ENDPOINT [options]

Prints the messages that come from whoever serves an endpoint, a line of JSON each, until it ends or SIGINT.

  -n, --count N          ends after so many
  -l, --listen           serves the endpoint itself, and prints what its clients send
      --reconnect        waits for a server that is not there yet, or not any more
      --topic PATTERN    prints what is published on a bus, as {"topic":…,"message":…}: the last values first
${TOLD}
rsipc tail rsipc:prices
rsipc tail --listen udp://0.0.0.0:5000
rsipc tail rsipc:events --topic 'orders.**'
`;

// Prints until `left` is used up; answers whether it is.
class Printer {
  left;

  constructor(count) {
    this.left = count;
  }

  async from(connection) {
    for await (const message of connection) {
      if (this.left === 0) break; // another connection has had the last one
      this.left--;
      await print(message);
      if (this.left === 0) break;
    }
    return this.left === 0;
  }
}

// The name is given back.
const atSignal = (end) => {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end);
};

async function subscribe(endpoint, pattern, count) {
  const bus = await require('../bus/index.js').openBus(endpoint);
  let left = count;
  await new Promise((resolve, reject) => {
    atSignal(resolve);
    bus.on('close', resolve);
    bus.subscribe(pattern, (message, topic) => {
      if (left === 0) return;
      left--;
      process.stdout.write(`${lineOf({ topic, message })}\n`);
      if (left === 0) resolve();
    }, { retained: true }).catch(reject);
  }).finally(() => bus.close());
  return 0;
}

async function listen(endpoint, settings, printer) {
  const { timeout, ...rest } = settings;
  const server = await require('../endpoint/index.js').serve(endpoint, rest);
  process.stderr.write(`listening on ${server.address()}\n`);
  await new Promise((resolve) => {
    atSignal(resolve);
    server.on('connection', async (connection) => {
      try {
        if (await printer.from(connection)) resolve();
      } catch (error) {
        process.stderr.write(`rsipc: a client: ${error.message} (${error.code})\n`);
      }
    });
    server.on('error', (error) => process.stderr.write(`rsipc: ${error.message} (${error.code})\n`));
  });
  await server.close();
  return 0;
}

async function tail({ options, words: [endpoint] }) {
  if (endpoint === undefined) throw new UsageError('name an endpoint', TAIL);
  const settings = settingsOf(options);
  const count = options.count === undefined ? Infinity : whole(options.count, '--count', 1);
  quitWithReader();
  if (withTopic(options)) return subscribe(endpoint, options.topic, count);
  const printer = new Printer(count);
  if (options.listen) return listen(endpoint, settings, printer);
  const connection = await require('../endpoint/index.js').connect(endpoint, { ...settings, reconnect: options.reconnect === true });
  await printer.from(connection);
  await connection.close();
  return 0;
}

module.exports = {
  send: {
    summary: 'sends messages to an endpoint',
    usage: SEND,
    options: { ...OPTIONS, request: { kind: 'value', short: 'r' } },
    behind: 'a message that begins with a dash',
    main: send,
  },
  tail: {
    summary: 'prints the messages that come from an endpoint',
    usage: TAIL,
    options: { ...OPTIONS, count: { kind: 'value', short: 'n' }, listen: { kind: 'flag', short: 'l' }, reconnect: { kind: 'flag' } },
    most: 1,
    main: tail,
  },
};
