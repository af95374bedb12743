'use strict';
// `config.tls` of node-ipc: paths of files beside what node:tls takes. What they hold is read here; the user's
// object is left as it is.

const fs = require('node:fs');
const { rsipc } = require('../errors.js');

function read({ private: key, public: cert, dhparam, trustedConnections, ...options }) {
  if (key) options.key = fs.readFileSync(key);
  if (cert) options.cert = fs.readFileSync(cert);
  if (dhparam) options.dhparam = fs.readFileSync(dhparam);
  if (trustedConnections) options.ca = [trustedConnections].flat().map((path) => fs.readFileSync(path));
  return options;
}

function serverOptions(tls) {
  const options = read(tls);
  if ((!options.key || !options.cert) && !options.pfx) {
    throw rsipc.protocol('ERR_RSIPC_TLS_KEY', 'a TLS server needs a key and a certificate of its own: set config.tls.private and config.tls.public to their files');
  }
  return options;
}

module.exports = { clientOptions: read, serverOptions };
