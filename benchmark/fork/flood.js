'use strict';

// Sends many messages through one end of a channel as a careful program does: it goes on until
// `send` returns false, then waits until what is queued has been written.

/**
 * Sends `total` messages of `kind` through `end` (a child or `process`) and then calls `done`.
 *
 * Node's channel has no 'drain' event. What tells that there is room again is the callback of one
 * further message, since messages are written in order.
 */
function flood(end, kind, total, done) {
  let sent = 0;
  const more = (error) => {
    if (error) throw error;
    while (sent < total) {
      if (!end.send(kind.make(sent++)) && sent < total) {
        end.send(kind.make(sent++), more);
        return;
      }
    }
    done();
  };
  more();
}

module.exports = { flood };
