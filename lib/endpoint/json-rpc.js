'use strict';
// JSON-RPC 2.0 over codecs that foreign programs speak: language servers ('lsp') and tools on stdio ('lines').

const { withCode } = require('../errors.js');
const { MESSAGE, REQUEST, REPLY, FAILURE, CANCEL } = require('./kinds.js');

const INVALID_REQUEST = -32_600;
const METHOD_NOT_FOUND = -32_601;
const INTERNAL_ERROR = -32_603;

// The wire has no kinds of frames here, but what a slow peer may miss, and what is still sent at the end, is messages alone.
const put = (link, kind, message) => link.put(kind, JSON.stringify({ jsonrpc: '2.0', ...message }));

const UNKNOWN = { code: INTERNAL_ERROR, message: 'the handler threw a value that cannot be told' };

function errorOf(error) {
  if (error?.code === 'ERR_RSIPC_NO_HANDLER') return { code: METHOD_NOT_FOUND, message: error.message };
  const message = error instanceof Error ? String(error.message) : 'the handler threw a value that is not an Error';
  if (Number.isInteger(error?.code)) return { code: error.code, message, data: error.data };
  return { code: INTERNAL_ERROR, message, data: typeof error?.code === 'string' ? { code: error.code } : undefined };
}

function failed(link, error) {
  const message = typeof error?.message === 'string' ? error.message : 'an error without a message';
  const made = withCode(Error, 'ERR_RSIPC_REMOTE', message);
  if (Number.isInteger(error?.code)) made.code = error.code;
  if (error?.data !== undefined) made.data = error.data;
  made.stack = `${made.name}: ${message}\n    at ${link.who()}`;
  return made;
}

module.exports = {
  request: (link, id, method, params) => put(link, REQUEST, { id, method, params }),
  cancel: (link, id) => put(link, CANCEL, { method: '$/cancelRequest', params: { id } }),
  reply: (link, id, result = null) => put(link, REPLY, { id, result }),
  failure(link, id, error) {
    let told = UNKNOWN;
    try {
      told = errorOf(error);
      put(link, FAILURE, { id, error: told });
    } catch {
      put(link, FAILURE, { id, error: { ...told, data: undefined } }); // a cycle, a BigInt, a getter that throws
    }
  },
  notify: (link, method, params) => put(link, MESSAGE, { method, params }),

  // Whatever is no request and no reply of JSON-RPC is a message.
  receive(link, requests, value, size) {
    if (Array.isArray(value)) {
      put(link, FAILURE, { id: null, error: { code: INVALID_REQUEST, message: 'batches are not taken' } });
      return;
    }
    const { id, method, params } = value ?? {};
    const hasId = typeof id === 'number' || typeof id === 'string';
    if (typeof method === 'string' && hasId) {
      requests.asked(id, method, params);
    } else if (typeof method === 'string' && method === '$/cancelRequest') {
      requests.cancelled(params?.id);
    } else if (hasId && value.error !== undefined) {
      requests.rejected(id, failed(link, value.error));
    } else if (hasId && 'result' in value) {
      requests.replied(id, value.result);
    } else {
      link.deliver(value, size);
    }
  },
};
