'use strict';
// What the native part and JavaScript call the same by number: kinds of frames, and bits of what a turn has found.

module.exports = {
  MESSAGE: 1,
  REQUEST: 2,
  REPLY: 3,
  FAILURE: 4,
  CANCEL: 5,
  PING: 6,
  BYE: 8,
  BESIDE: 10,
  BATCH: 11,

  RUN: 1,
  EVENTS: 2,
  WROTE: 4,
  PARTIAL: 8,
  ERROR: 16,
  CONNECTED: 32,
  LARGE: 64,
  KIND: 8, // where the kind of a run begins
};
