'use strict';
// What listeners throw while a test is about that: each would end the process.

// Answers the list that the texts of what is thrown are put on, until the test has ended. To be called when what throws has
// its own clean-up, which comes first then.
function thrown(t) {
  const texts = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => texts.push(error.message));
  t.after(() => {
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
  });
  return texts;
}

module.exports = { thrown };
