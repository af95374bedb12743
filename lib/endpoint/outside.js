'use strict';
// Calls what calls listeners. What one throws ends the process as that of any event does, and is no failure of who calls.

function outside(tell) {
  try {
    tell();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

module.exports = { outside };
