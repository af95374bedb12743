'use strict';
// `serialization: 'advanced'`: values in V8's format, with Node's additions for Buffers and typed arrays.
//
// Node's own subclass is internal; these write and read the same bytes through v8's public classes.

const v8 = require('node:v8');

const ARRAY_BUFFER_VIEW = 0;
const OTHER = 1;

class Serializer extends v8.DefaultSerializer {
  _writeHostObject(object) {
    if (ArrayBuffer.isView(object)) {
      this.writeUint32(ARRAY_BUFFER_VIEW);
      return super._writeHostObject(object);
    }
    this.writeUint32(OTHER);
    return this.writeValue({ ...object });
  }
}

class Deserializer extends v8.DefaultDeserializer {
  _readHostObject() {
    const tag = this.readUint32();
    if (tag === ARRAY_BUFFER_VIEW) return super._readHostObject();
    if (tag !== OTHER) throw new Error(`unknown host object ${tag}`);
    return this.readValue();
  }
}

function serialize(message) {
  const serializer = new Serializer();
  serializer.writeHeader();
  serializer.writeValue(message);
  return serializer.releaseBuffer();
}

function deserialize(bytes) {
  const deserializer = new Deserializer(bytes);
  deserializer.readHeader();
  return deserializer.readValue();
}

// Levels of nesting in `value`, counted without recursion, up to `limit` + 1.
function depthExceeds(value, limit) {
  const isBranch = (x) => x !== null && typeof x === 'object' && !ArrayBuffer.isView(x);
  if (!isBranch(value)) return false;
  const seen = new Set([value]);
  let level = [value];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > limit) return true;
    const next = [];
    for (const item of level) {
      const children = item instanceof Map ? [...item.keys(), ...item.values()] : item instanceof Set ? [...item] : Object.values(item);
      for (const child of children) {
        if (isBranch(child) && !seen.has(child)) {
          seen.add(child);
          next.push(child);
        }
      }
    }
    level = next;
  }
  return false;
}

module.exports = { serialize, deserialize, depthExceeds };
