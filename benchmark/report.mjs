// Turns the values of all rounds into medians, ratios and a verdict, and these into Markdown.

/** The middle of some numbers. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Our values beside a rival's. The ratio is formed within each round and its median taken; it is turned
 * so that more than 1 is always to our favour.
 */
export function compare(better, ours, theirs) {
  const ratios = ours.map((value, round) => better === 'more' ? value / theirs[round] : theirs[round] / value);
  // Judged as it is shown: a ratio of 0.9998 is 1.00.
  return { ratio: Number(median(ratios).toFixed(2)), low: Math.min(...ratios), high: Math.max(...ratios) };
}

/** What a side got in every round. */
export function valuesOf({ runs }) {
  return runs.map(({ value }) => value);
}

/** One line of the table of a suite with one rival. */
export function summarize({ scenario, sides }) {
  const { name, unit, target, atMost, atLeast, orAtLeast } = scenario;
  const goals = { target, atMost, atLeast, orAtLeast };
  const failed = sides.find(({ error }) => error);
  if (failed) return { name, unit, ...goals, error: `${failed.label}: ${failed.error}`, met: false };
  const [ours, theirs] = sides.map(valuesOf);
  const { ratio, low, high } = compare(scenario.better, ours, theirs);
  return {
    name, unit, ...goals,
    ours: median(ours), theirs: median(theirs),
    ratio, low, high,
    // Some are for the reader to judge.
    met: Object.values(goals).every((goal) => goal === undefined) ? undefined : atMost !== undefined ? median(ours) <= atMost : atLeast !== undefined ? median(ours) >= atLeast : ratio >= target || median(ours) >= orAtLeast,
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
  lines.push(...errors(rows));
  return lines.join('\n');
}

/** What went wrong, for beneath the table. */
export function errors(rows) {
  return rows.filter((row) => row.error).flatMap(({ name, error }) => ['', `${name}:`, '', error.replace(/^/gm, '    ')]);
}

/** A ratio as the table shows it, with the lowest and the highest round. */
export function spread({ ratio, low, high }) {
  return `${ratio.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

function line(row) {
  const goal = row.met === undefined ? '–'
    : row.atMost !== undefined ? `≤ ${row.atMost} ${row.unit}`
    : row.atLeast !== undefined ? `≥ ${number(row.atLeast)} ${row.unit}`
    : row.orAtLeast !== undefined ? `≥ ${row.target}, or ${number(row.orAtLeast)} ${row.unit}` : `≥ ${row.target}`;
  const cells = row.error
    ? ['failed', '', '']
    : [
        number(row.ours), number(row.theirs),
        row.atMost === undefined ? spread(row) : '–',
      ];
  return `| ${[row.name, row.unit, ...cells, goal, row.met === undefined ? '–' : row.met ? 'yes' : '**no**'].join(' | ')} |`;
}

/** Three digits that count, thousands separated. */
export function number(value) {
  if (value >= 100) return Math.round(Number(value.toPrecision(value >= 1e6 ? 4 : 3))).toLocaleString('en-US');
  return Number(value.toPrecision(3)).toString();
}
