// Holds one report against what its own titles announce, and two reports against each other.

/** A case's title says its status; what says nothing must pass. */
function announced(name) {
  if (/\[fails\]|\.fails\.suite\./.test(name)) return 'failed';
  if (/\[skips\]/.test(name)) return 'skipped';
  if (/\[todo\]/.test(name)) return 'todo';
  if (/\[pending\]/.test(name)) return 'pending';
  return 'passed';
}

/** Cases that did not end as their title says. */
export function unannounced({ cases }) {
  return cases
    .filter(({ name, status }) => status !== announced(name))
    .map(({ name, status, detail }) => `${name}: ${status}, not ${announced(name)}\n${detail}`);
}

/** Names that occur twice would hide a case behind another. */
export function repeated({ cases }) {
  const seen = new Set();
  return cases.map(({ name }) => name).filter((name) => seen.size === seen.add(name).size);
}

export function differentStatuses(before, after) {
  return differences(byName(before, 'status'), byName(after, 'status'));
}

export function differentDetails(before, after) {
  return differences(byName(before, 'detail'), byName(after, 'detail'));
}

export function differentNotes(before, after) {
  const notes = (report) => new Map(Object.entries(report.notes).map(([key, value]) => [key, JSON.stringify(value)]));
  return differences(notes(before), notes(after));
}

export function count({ cases }, status) {
  return cases.filter((each) => each.status === status).length;
}

function byName({ cases }, key) {
  return new Map(cases.map((each) => [each.name, each[key]]));
}

function differences(before, after) {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names]
    .filter((name) => before.get(name) !== after.get(name))
    .map((name) => `${name}\n  plain:     ${before.get(name) ?? '(absent)'}\n  preloaded: ${after.get(name) ?? '(absent)'}`);
}
