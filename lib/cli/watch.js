'use strict';
// Tells when files change that a program may be made of: those in some directories and below, or some files.
//
// A directory is watched, not the files in it: editors write a new file and put it in the place of the old one. The
// system tells also of what changes nothing, so a file counts as changed when its size, its time or its number has.

const fs = require('node:fs');
const path = require('node:path');
const EventEmitter = require('node:events');

const QUIET = 100; // after the last change, in ms
const PATIENCE = 2_000; // with changes that do not cease
const MOST_DIRECTORIES = 4_096;

// Installed programs, and what begins with a dot, change for other reasons.
const ignored = (name) => name === 'node_modules' || name.startsWith('.');

function stateOf(file) {
  try {
    const { size, mtimeMs, ino } = fs.statSync(file);
    return `${size} ${mtimeMs} ${ino}`;
  } catch {
    return 'gone';
  }
}

// Emits 'change' with one of the files that changed, and 'problem' with an error that makes it less watchful.
class Watch extends EventEmitter {
  #watchers = new Map();
  #states = new Map();
  #timer = null;
  #since = 0;
  #full = false;

  constructor(paths, except = []) {
    super();
    this.except = new Set(except);
    for (const each of paths) {
      if (fs.statSync(each).isDirectory()) this.#directory(each);
      else this.#file(each);
    }
  }

  #file(file) {
    this.#states.set(file, stateOf(file));
    const directory = path.dirname(file);
    if (this.#watchers.has(directory)) return; // the whole of it
    this.#listen(`${file}/.`, directory, (name) => name === path.basename(file) && this.#look(file));
  }

  #directory(directory) {
    if (this.#watchers.has(directory) || this.except.has(directory)) return;
    if (this.#watchers.size >= MOST_DIRECTORIES) {
      if (!this.#full) this.emit('problem', new Error(`more than ${MOST_DIRECTORIES} directories; name those that matter with --watch=PATHS`));
      this.#full = true;
      return;
    }
    const listening = this.#listen(directory, directory, (name) => {
      if (name === null || !ignored(name)) this.#look(path.join(directory, name ?? '.'), true);
    });
    if (!listening) return;
    let entries = [];
    try {
      entries = fs.readdirSync(directory, { withFileTypes: true });
    } catch {} // it went meanwhile
    for (const entry of entries) {
      if (ignored(entry.name)) continue;
      const each = path.join(directory, entry.name);
      if (entry.isDirectory()) this.#directory(each);
      else this.#states.set(each, stateOf(each));
    }
  }

  #listen(key, directory, onName) {
    try {
      const watcher = fs.watch(directory, (_, name) => onName(name));
      watcher.on('error', () => this.#forget(key));
      this.#watchers.set(key, watcher);
      return true;
    } catch (error) {
      if (error.code !== 'ENOENT') this.emit('problem', error);
      return false;
    }
  }

  #forget(key) {
    this.#watchers.get(key)?.close();
    this.#watchers.delete(key);
  }

  #look(file, deep = false) {
    let entry;
    try {
      entry = deep ? fs.lstatSync(file) : undefined;
    } catch {
      this.#forget(file);
    }
    if (entry?.isDirectory()) {
      const known = this.#states.size;
      this.#directory(file);
      if (this.#states.size > known) this.#changed(file);
      return;
    }
    const state = stateOf(file);
    if ((this.#states.get(file) ?? 'gone') === state) return;
    if (state === 'gone') this.#states.delete(file);
    else this.#states.set(file, state);
    this.#changed(file);
  }

  #changed(file) {
    const now = Date.now();
    if (this.#timer === null) this.#since = now;
    clearTimeout(this.#timer);
    const wait = Math.max(0, Math.min(QUIET, this.#since + PATIENCE - now));
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.emit('change', file);
    }, wait);
  }

  close() {
    clearTimeout(this.#timer);
    for (const key of [...this.#watchers.keys()]) this.#forget(key);
  }
}

module.exports = { Watch };
