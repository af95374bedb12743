'use strict';
// Every endpoint and what it promises. The suite in this folder is run over this table, and `docs/check.mjs` holds the
// one in docs/connections.md to it.

const net = require('node:net');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { PLACES, directory } = require('../places.js');

const native = () => require('../../../lib/binding.js'); // not for who reads the table alone

let counter = 0;
const unique = () => `rsipc.test.conformance.${process.pid}.${++counter}`;
const inDirectory = (scheme) => (t) => `${scheme}${path.join(directory(t), 's')}`;
const abstract = (scheme) => () => `${scheme}@${unique()}`;

// A plain socket to a server at a UNIX socket, whatever names it.
function dial(endpoint) {
  const fd = native().connectFd(endpoint);
  const socket = new net.Socket({ fd });
  native().releaseFd(fd);
  return socket;
}

let certificate = null;

// A certificate for this machine, and its key.
function identity() {
  certificate ??= execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', '-', '-out', '-'], { stdio: ['ignore', 'pipe', 'ignore'] });
  return certificate;
}

const ALL = ['json', 'v8', 'raw', 'lines', 'lsp'];

// Of each endpoint:
//
// scheme      what docs/connections.md calls it
// at          an endpoint of that kind that nobody has; absent where nobody listens at a name
// serve, connect  options without which it is not to be had, as functions
// codecs      those it takes; every other is refused
// ways        'both', or 'in': towards who serves
// unit        what carries messages: a 'stream'; 'packets', which are the messages; 'datagrams' and 'files', which say of
//             themselves what they hold
// loses       whether a receiver that is full loses messages, instead of making the sender wait
// longest     bytes of the longest message it carries; absent where `maxMessageSize` alone counts
// ends        how one end learns that the other has gone: it is 'told'; by 'silence', for `idleTimeout`; 'never'
// returns     what a server's restart is for a client: with `reconnect` it connects 'again', or does so when its next message
//             finds nobody ('sending'); it is 'unaware' of it, and what was sent meanwhile is lost; or that is 'kept';
//             'once': there is no server that could
// bad         what comes of a message that breaks a rule: the connection 'ends', the message is 'counted', or put 'aside'
// requests    with which codecs
// knocks      whether a client is a connection at the server from its first message on
// greets      whether both ends say hello first, codecs 'lines' and 'lsp' apart
// dial        a plain stream to a server, for bytes that somebody else has written
const STREAM = { codecs: ALL, ways: 'both', unit: 'stream', loses: false, ends: 'told', returns: 'again', bad: 'ends', requests: ALL, knocks: false, greets: true };
const PACKETS = { ...STREAM, codecs: ['json', 'v8', 'raw', 'lines'], unit: 'packets', longest: () => native().longestPacket(), requests: ['lines'], greets: false };
const DATAGRAMS = { ...PACKETS, ends: 'silence', returns: 'sending', bad: 'counted', requests: [], knocks: true };
const UDP = { ...DATAGRAMS, codecs: ['json', 'v8', 'raw'], unit: 'datagrams', loses: true, longest: () => 65_491, returns: 'unaware' };
const GROUP = { udp: { interface: '127.0.0.1', ttl: 1, loopback: true } };

const ENDPOINTS = {
  'rsipc:': { ...STREAM, scheme: '`rsipc:`', at: PLACES['rsipc:'], dial },
  'unix:': { ...STREAM, scheme: '`unix:`', at: PLACES['unix:'], dial },
  'unix:@': { ...STREAM, scheme: '`unix:`', at: abstract('unix:'), dial },
  'tcp:': { ...STREAM, scheme: '`tcp://`', at: PLACES['tcp:'], dial: (endpoint) => net.connect(Number(endpoint.split(':').at(-1)), '127.0.0.1') },
  'tls:': {
    ...STREAM,
    scheme: '`tls://`',
    at: () => 'tls://127.0.0.1:0',
    serve: () => ({ tls: { key: identity(), cert: identity() } }),
    connect: () => ({ tls: { ca: identity() } }),
    dial: (endpoint) => require('node:tls').connect({ port: Number(endpoint.split(':').at(-1)), host: '127.0.0.1', ca: identity() }),
  },
  'systemd:': { ...STREAM, scheme: '`systemd:`', program: 'systemd:', dial },
  'stdio:': { ...STREAM, scheme: '`stdio:`, a child', program: 'stdio:', returns: 'once' },
  'a Duplex': { ...STREAM, scheme: 'a `Duplex`', joined: true, returns: 'once' },
  'unix+seqpacket:': { ...PACKETS, scheme: '`unix+seqpacket:`', at: inDirectory('unix+seqpacket:') },
  'unix+seqpacket:@': { ...PACKETS, scheme: '`unix+seqpacket:`', at: abstract('unix+seqpacket:') },
  'unix+dgram:': { ...DATAGRAMS, scheme: '`unix+dgram:`', at: inDirectory('unix+dgram:') },
  // Nobody can be asked who receives there, so that is said.
  'unix+dgram:@': { ...DATAGRAMS, scheme: '`unix+dgram:`', at: abstract('unix+dgram:'), connect: () => ({ allow: 'anyone' }) },
  'udp:': { ...UDP, scheme: '`udp://`', at: () => 'udp://127.0.0.1:0' },
  'udp: group': { ...UDP, scheme: '`udp://`', at: () => 'udp://239.255.71.9:0', serve: () => GROUP, connect: () => GROUP },
  'udp: plain': {
    ...UDP,
    scheme: '`udp://`, `plain`',
    at: () => 'udp://127.0.0.1:0',
    codecs: ['json', 'raw'],
    unit: 'packets',
    longest: () => 65_507,
    serve: () => ({ udp: { plain: true } }),
    connect: () => ({ udp: { plain: true } }),
  },
  'fifo:': { ...STREAM, scheme: '`fifo:`', at: inDirectory('fifo:'), codecs: ['lines'], ways: 'in', ends: 'never', returns: 'kept', requests: [], greets: false },
  'file:': {
    ...STREAM,
    scheme: '`file:`',
    at: (t) => `file:${path.join(directory(t), 'box')}/`,
    codecs: ['json', 'v8', 'raw'],
    ways: 'in',
    unit: 'files',
    ends: 'silence',
    returns: 'kept',
    bad: 'aside',
    requests: [],
    knocks: true,
    greets: false,
  },
};

// ---- as docs/connections.md has it ----

const WORDS = {
  both: 'both ways',
  in: 'to the server',
  told: 'is told',
  silence: 'is taken from silence',
  never: 'is not told',
  again: 'it connects again',
  sending: 'it connects again, with its next message',
  unaware: 'nothing',
  kept: 'nothing; messages wait',
  once: 'the end',
  ends: 'the connection ends',
  counted: 'it is counted',
  aside: 'it is put aside',
};
const listed = (codecs) => (codecs.length === ALL.length ? 'all' : codecs.map((codec) => `\`${codec}\``).join(', ') || '–');
const cells = ({ codecs, requests, ways, loses, bad, ends, returns }) => [
  listed(codecs), listed(requests), WORDS[ways], loses ? 'messages are lost' : 'who sends waits', WORDS[bad], WORDS[ends], WORDS[returns],
].join(' | ');

// A line for all that promise the same.
function rows() {
  const schemes = new Map();
  for (const place of Object.values(ENDPOINTS)) {
    const promised = cells(place);
    if (!schemes.has(promised)) schemes.set(promised, new Set());
    schemes.get(promised).add(place.scheme);
  }
  return [...schemes].map(([promised, of]) => `| ${[...of].join(', ')} | ${promised} |`);
}

// Each endpoint with each of its codecs.
function* combinations(which = () => true) {
  for (const [name, place] of Object.entries(ENDPOINTS)) {
    if (which(place)) for (const codec of place.codecs) yield { name: `${name} ${codec}:`, place, codec };
  }
}

module.exports = { ALL, ENDPOINTS, combinations, rows };
