'use strict';
// Keys `__proto__` in JSON that has arrived (`protoAction`). `JSON.parse` makes an own key of it like of any other, which is
// harmless until somebody copies the object with `Object.assign` or a loop: then it is the copy's prototype.
//
// One search of all that came in a turn says that there is none. Only where it does not are values looked into.

const { rsipc } = require('../errors.js');

const KEY = '__proto__';
const PERHAPS = /__proto__|\\u00/; // what one pass looks for
const ESCAPED = /\\u00(?:5f|6f|7[024])/i; // a character of it, as JSON can also write it

const found = (text) => PERHAPS.test(text) && (text.includes(KEY) || ESCAPED.test(text));

// Removes such keys from a value of JSON, or throws for the first.
function look(value, action, who) {
  const waiting = [value];
  while (waiting.length > 0) {
    const one = waiting.pop();
    if (one === null || typeof one !== 'object') continue;
    if (Object.hasOwn(one, KEY)) {
      if (action === 'error') throw rsipc.protoKey(who);
      delete one[KEY];
    }
    for (const key of Object.keys(one)) waiting.push(one[key]);
  }
  return value;
}

// What is to be done about what was found in a text, or null if there is nothing.
const ofText = ({ protoAction }, text) => (protoAction !== 'keep' && found(text) ? protoAction : null);

module.exports = { ofText, look };
