'use strict';
// `serialization: 'advanced'`: values in V8's format, with Node's additions for Buffers and typed arrays.
//
// Node's own subclass is internal; these write and read the same bytes through v8's public classes.

const v8 = require('node:v8');

const ARRAY_BUFFER_VIEW = 0;
const OTHER = 1;
// Of ours: a view whose bytes lie beside the value.
const BESIDE = 2;
const PLACE = 20;
// Node's numbers for the two kinds of view that are left where they are when they are large.
const UINT8_ARRAY = 1;
const BUFFER = 10;

// From this size on the bytes of a Buffer are not copied into the serialized value but written to the
// socket from where they are. Their place in the value is found again by a mark that nobody can guess.
const LARGE = 32 * 1024;
let mark = null;

class Serializer extends v8.DefaultSerializer {
  constructor(large, slabs) {
    super();
    this.large = large; // the views left out, or null to leave none out
    this.slabs = slabs; // where views may lie beside the value, or null
  }

  _writeHostObject(object) {
    if (!ArrayBuffer.isView(object)) {
      this.writeUint32(OTHER);
      return this.writeValue({ ...object });
    }
    if (this.slabs !== null) {
      const kind = this.slabs.lay(object);
      if (kind !== -1) {
        this.writeUint32(BESIDE);
        this.writeUint32(kind);
        return this.writeRawBytes(this.slabs.place);
      }
    }
    this.writeUint32(ARRAY_BUFFER_VIEW);
    if (this.large === null || object.byteLength < LARGE || (object.constructor !== Buffer && object.constructor !== Uint8Array)) {
      return super._writeHostObject(object);
    }
    mark ??= require('node:crypto').randomBytes(24);
    this.writeUint32(object.constructor === Buffer ? BUFFER : UINT8_ARRAY);
    this.writeUint32(object.byteLength);
    this.writeRawBytes(mark);
    this.large.push(Buffer.from(object.buffer, object.byteOffset, object.byteLength));
    return undefined;
  }
}

// The serialized value in one Buffer.
function serializeWhole(message) {
  const serializer = new Serializer(null, null);
  serializer.writeHeader();
  serializer.writeValue(message);
  return serializer.releaseBuffer();
}

// The same, but for the large views in it that `slabs` has taken.
function serializeBeside(message, slabs) {
  // A getter of the message may send another one.
  if (!slabs.begin()) return serializeWhole(message);
  try {
    if (ArrayBuffer.isView(message) && serializeOne(message, slabs)) return only;
    const serializer = new Serializer(null, slabs);
    serializer.writeHeader();
    serializer.writeValue(message);
    return serializer.releaseBuffer();
  } catch (error) {
    slabs.undo();
    throw error;
  } finally {
    slabs.end();
  }
}

// A message that is one view beside it is always the same but for its kind, its last byte before the place: nobody needs a
// serializer for that, which costs more than all the rest.
let only = null;

function onlyOne() {
  const serializer = new Serializer([], { lay: () => 0, place: Buffer.alloc(PLACE) });
  serializer.writeHeader();
  serializer.writeValue(new Uint8Array(0));
  return serializer.releaseBuffer();
}

function serializeOne(view, slabs) {
  const kind = slabs.lay(view);
  if (kind === -1) return false;
  only ??= onlyOne();
  only[only.length - PLACE - 1] = kind;
  only.set(slabs.place, only.length - PLACE);
  return true;
}

// The kind of the one that is there; -1 for any other value.
function kindOfOne(bytes, start, end) {
  only ??= onlyOne();
  if (end - start !== only.length) return -1;
  const kind = only.length - PLACE - 1;
  for (let i = 0; i < kind; i++) if (bytes[start + i] !== only[i]) return -1;
  return bytes[start + kind];
}

// The serialized value, with its large Buffers beside it: those that `slabs` has taken, and others, of which `pieces[i]`
// belongs at `places[i]` of `payload`.
function serialize(message, slabs = null) {
  // A getter of the message may send another one.
  if (slabs !== null && !slabs.begin()) slabs = null;
  if (slabs !== null && ArrayBuffer.isView(message) && serializeOne(message, slabs)) {
    slabs.end();
    return { payload: only, places: null, pieces: null, slabs };
  }
  const serializer = new Serializer([], slabs);
  serializer.writeHeader();
  try {
    serializer.writeValue(message);
  } catch (error) {
    slabs?.undo();
    throw error;
  } finally {
    slabs?.end();
  }
  const payload = serializer.releaseBuffer();
  const { large } = serializer;
  if (large.length === 0) return { payload, places: null, pieces: null, slabs };
  const places = [];
  let end = 0; // of what is kept of the payload
  let from = 0;
  for (let i = 0; i < large.length; i++) {
    const at = payload.indexOf(mark, from);
    if (at === -1) {
      slabs?.undo();
      return { payload: serializeWhole(message), places: null, pieces: null, slabs: null };
    }
    payload.copy(payload, end, from, at);
    end += at - from;
    places.push(end);
    from = at + mark.length;
  }
  payload.copy(payload, end, from);
  end += payload.length - from;
  return { payload: payload.subarray(0, end), places, pieces: large, slabs };
}

class Deserializer extends v8.DefaultDeserializer {
  constructor(bytes, slabs) {
    super(bytes);
    this.slabs = slabs;
  }

  _readHostObject() {
    const tag = this.readUint32();
    if (tag === ARRAY_BUFFER_VIEW) return super._readHostObject();
    if (tag === BESIDE && this.slabs !== null) return this.slabs.fetch(this.readUint32(), this.readRawBytes(PLACE), 0);
    if (tag !== OTHER) throw new Error(`unknown host object ${tag}`);
    return this.readValue();
  }
}

// The value from `start` to `end` of `bytes`.
function deserialize(bytes, slabs = null, start = 0, end = bytes.length) {
  const kind = slabs === null ? -1 : kindOfOne(bytes, start, end);
  if (kind !== -1) return slabs.fetch(kind, bytes, end - PLACE);
  const deserializer = new Deserializer(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), slabs);
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

module.exports = { serialize, serializeWhole, serializeBeside, deserialize, depthExceeds };
