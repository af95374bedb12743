// The table of this suite: below rsipc's line of a scenario, one line for each rival with our ratio to it.

import { compare, errors, median, number, spread, valuesOf } from '../report.mjs';

/** The lines of one scenario. */
export function summarize({ scenario, sides }) {
  const { name, unit, better, pinned = true } = scenario;
  const [first] = sides;
  const ours = valuesOf(first);
  return sides.map((side) => {
    const { label, target, runs, oneProcess = false } = side;
    const row = { scenario: name, name: `${name}, ${label}`, contender: label, unit, pinned, oneProcess, target };
    if (side.error) return { ...row, error: side.error, met: false };
    // Without a value of ours there is nothing to compare; a rival may then not have had its turn.
    if (first.error) return { ...row, met: target === undefined ? undefined : false };
    const theirs = valuesOf(side);
    const beside = side === first ? {} : compare(better, ours, theirs);
    const cpu = runs[0].cpu && runs[0].cpu.map((_, end) => median(runs.map((run) => run.cpu[end])));
    return {
      ...row, value: median(theirs), ...beside, cpu,
      transport: [...new Set(runs.flatMap(({ transports = [] }) => transports))],
      met: target === undefined ? undefined : beside.ratio >= target,
      rounds: runs,
    };
  });
}

/** The table, and the errors beneath it. */
export function markdown(rows) {
  return [
    '| scenario | contender | unit | value | rsipc ÷ it (lowest–highest round) | target | met | CPU µs each, parent + child |',
    '|---|---|---|--:|--:|--:|---|--:|',
    ...rows.map((row, index) => line(row, row.scenario !== rows[index - 1]?.scenario)),
    ...errors(rows),
  ].join('\n');
}

function line(row, first) {
  const { scenario, unit, value, ratio, target, met, error, pinned } = row;
  const cells = [
    // Said of a scenario where it is not already part of its name.
    first ? (pinned || scenario.includes('not pinned') ? scenario : `${scenario} (not pinned)`) : '',
    who(row), unit,
    error ? 'failed' : value === undefined ? '–' : number(value),
    ratio === undefined ? '' : spread(row),
    target === undefined ? '' : `≥ ${target}`,
    met === undefined ? '' : met ? 'yes' : '**no**',
    cpu(row),
  ];
  return `| ${cells.join(' | ')} |`;
}

/** The contender, and how its messages went in the end where it says so. */
function who({ contender, transport = [] }) {
  return transport.length === 0 ? contender : `${contender} → ${transport.join(', ')}`;
}

function cpu({ cpu: ends, oneProcess }) {
  if (!ends) return '';
  // Both ends in one process: each has counted all of it.
  return oneProcess ? `${number(ends[0])} together` : ends.map(number).join(' + ');
}
