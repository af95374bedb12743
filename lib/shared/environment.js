'use strict';
// This environment as a party to shared objects: its number, and its bell in the event loop. The bell hangs from
// the first wait on.

const native = require('../binding.js');
const { rsipc } = require('../errors.js');
const { LIBUV } = require('../fork/settings.js');

const environment = native.SharedEnvironment === undefined ? null : new native.SharedEnvironment();
let open = false;

// Where the native part is missing, or memory cannot be shared, nothing is emulated.
function required(what) {
  if (environment === null) throw rsipc.notAvailable(what);
  return native;
}

// Hangs up the bell; `onRing` is called when somebody has rung.
function listen(onRing) {
  if (open) return;
  const turn = () => {
    environment.turn();
    onRing();
  };
  environment.open(onRing, turn, LIBUV);
  open = true;
  // A process that exits does not collect its objects.
  process.once('exit', () => environment.close());
}

module.exports = {
  required,
  listen,
  number: () => environment.number,
  setRef: (on) => environment.setRef(on),
};
