'use strict';

// The message of the table at the end, and the careful way to send many.

/** Eight digits from the first message to the last: all are equally long. */
const FIRST = 10_000_000;

const text = 'x'.repeat(64 - JSON.stringify({ seq: FIRST, text: '' }).length);

/** 64 bytes as JSON. */
function message(index) {
  return { seq: FIRST + index, text };
}

/**
 * Sends `total` messages through a child or `process`. When `send` returns false it waits until the
 * queue has been written, which the callback of one message more tells, as messages go in order.
 */
function flood(end, total) {
  let sent = 0;
  const more = (error) => {
    if (error) throw error;
    while (sent < total) {
      if (!end.send(message(sent++)) && sent < total) return end.send(message(sent++), more);
    }
  };
  more();
}

module.exports = { FIRST, flood, message };
