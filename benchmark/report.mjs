// Turns the values of all rounds into medians, ratios and a verdict, and these into Markdown.

/** The middle of some numbers. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * One line of the table. The ratio is formed within each round and its median taken; it is turned
 * so that more than 1 is always to our favour.
 */
export function summarize({ scenario, ours, theirs, error }) {
  const { name, unit, target, atMost, atLeast, orAtLeast } = scenario;
  const goals = { target, atMost, atLeast, orAtLeast };
  if (error) return { name, unit, ...goals, error, met: false };
  const ratios = ours.map((value, round) => scenario.better === 'more' ? value / theirs[round] : theirs[round] / value);
  // Judged as it is shown: a ratio of 0.9998 is 1.00.
  const ratio = Number(median(ratios).toFixed(2));
  return {
    name, unit, ...goals,
    ours: median(ours), theirs: median(theirs),
    ratio, low: Math.min(...ratios), high: Math.max(...ratios),
    met: atMost !== undefined ? median(ours) <= atMost : atLeast !== undefined ? median(ours) >= atLeast : ratio >= target || median(ours) >= orAtLeast,
    rounds: { ours, theirs },
  };
}

/** The table, and the errors beneath it. */
export function markdown(rows, rivalName) {
  const lines = [
    `| scenario | unit | rsipc | ${rivalName} | ratio (lowest–highest round) | target | met |`,
    '|---|---|--:|--:|--:|--:|---|',
    ...rows.map(line),
  ];
  for (const { name, error } of rows.filter((row) => row.error)) lines.push('', `${name}:`, '', error.replace(/^/gm, '    '));
  return lines.join('\n');
}

function line(row) {
  const goal = row.atMost !== undefined ? `≤ ${row.atMost} ${row.unit}`
    : row.atLeast !== undefined ? `≥ ${number(row.atLeast)} ${row.unit}`
    : row.orAtLeast !== undefined ? `≥ ${row.target}, or ${number(row.orAtLeast)} ${row.unit}` : `≥ ${row.target}`;
  const cells = row.error
    ? ['failed', '', '']
    : [
        number(row.ours), number(row.theirs),
        row.atMost === undefined ? `${row.ratio.toFixed(2)} (${row.low.toFixed(2)}–${row.high.toFixed(2)})` : '–',
      ];
  return `| ${[row.name, row.unit, ...cells, goal, row.met ? 'yes' : '**no**'].join(' | ')} |`;
}

/** Three digits that count, thousands separated. */
function number(value) {
  if (value >= 100) return Math.round(Number(value.toPrecision(value >= 1e6 ? 4 : 3))).toLocaleString('en-US');
  return Number(value.toPrecision(3)).toString();
}
