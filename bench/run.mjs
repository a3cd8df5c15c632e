// npm run bench: measures the package and its peers side by side, interleaved, and judges the budgets.
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseBenchArguments, USAGE } from './arguments.mjs';
import { judge } from './budgets.mjs';
import { caseOf, loadMetric, METRICS } from './metrics/metric.mjs';
import { Collector, measureInOwnProcess } from './processes.mjs';
import { budgetSection, heading, metricSection } from './report.mjs';
import { CONTROL, DEFAULT_SDKS, loadAdapter } from './sdks/adapter.mjs';
import { summarize } from './statistics.mjs';

const RESULTS = new URL('RESULTS.md', import.meta.url);

/**
 * @typedef {ReturnType<typeof parseBenchArguments>} Options
 * @typedef {{ name: string, metric: import('./metrics/metric.mjs').Metric, sdks: string[] }} Plan
 */

/** @returns {Promise<Plan[]>} */
async function planFor(/** @type {Options} */ options) {
  const plans = [];
  for (const name of options.metrics ?? METRICS) {
    const metric = await loadMetric(name);
    if (metric.onRequest && !options.metrics) continue;
    const sdks = [];
    for (const sdk of options.sdks ?? DEFAULT_SDKS) {
      const { onlyMetrics } = await loadAdapter(sdk);
      const wanted = (onlyMetrics?.includes(name) ?? true) && (metric.onlySdks?.includes(sdk) ?? true);
      if (wanted) sdks.push(sdk);
    }
    if (sdks.length === 0) continue;
    plans.push({ name, metric, sdks: metric.relateToControl ? [...sdks, CONTROL] : sdks });
  }
  if (plans.length === 0) throw new Error('none of the chosen SDKs takes part in the chosen metrics');
  return plans;
}

/**
 * @param {Collector} collector
 * @param {Plan} plan
 * @param {Options} options
 * @returns {Promise<Record<string, Record<string, import('./statistics.mjs').Spread>>>}
 */
async function measurePlan(collector, { name, metric, sdks }, { rounds, quick }) {
  const measureOnce = (/** @type {string} */ sdk) => {
    const run = { metric: name, sdk, size: metric.sizeFor(sdk, quick, rounds) };
    return measureInOwnProcess(collector, run).catch((error) => {
      throw new Error(`INVALID RUN: ${name} with ${sdk}: ${error.message}`);
    });
  };
  if (metric.cases) {
    /** @type {Record<string, Record<string, import('./statistics.mjs').Spread>>} */
    const summaries = {};
    for (const sdk of sdks) {
      process.stderr.write(`${name}: all ${rounds} rounds, ${sdk}\n`);
      for (const [oneCase, ofRounds] of Object.entries(await measureOnce(sdk)))
        summaries[caseOf(sdk, oneCase)] = summarize(ofRounds);
    }
    return summaries;
  }
  /** @type {Map<string, Record<string, number>[]>} */
  const measured = new Map(sdks.map((sdk) => [sdk, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const sdk of sdks) {
      process.stderr.write(`${name}: round ${round} of ${rounds}, ${sdk}\n`);
      measured.get(sdk)?.push(await measureOnce(sdk));
    }
  }
  const controls = measured.get(CONTROL);
  const summaries = [...measured].map(([sdk, ofRounds]) => {
    if (!controls || sdk === CONTROL) return [sdk, summarize(ofRounds)];
    return [
      sdk,
      summarize(ofRounds.map((values, i) => metric.relateToControl?.(values, controls[i]) ?? values)),
    ];
  });
  return Object.fromEntries(summaries);
}

async function main() {
  const args = process.argv.slice(2);
  const options = parseBenchArguments(args);
  if (options.help) {
    console.log(USAGE);
    return;
  }
  const startedAt = new Date();
  const [loadBefore] = loadavg();
  const plans = await planFor(options);
  const collector = await Collector.start();
  /** @type {import('./budgets.mjs').Results} */
  const results = {};
  const sections = [];
  /** @type {Record<string, string>} */
  const versions = {};
  try {
    for (const plan of plans) {
      const { name, metric, sdks } = plan;
      results[name] = await measurePlan(collector, plan, options);
      /** @type {Record<string, string>} */
      const labels = {};
      /** @type {Record<string, string>} */
      const sizes = {};
      for (const sdk of sdks) {
        const { label, version, variantOf } = await loadAdapter(sdk);
        const size = metric.describeSize(metric.sizeFor(sdk, options.quick, options.rounds));
        const rows = metric.cases
          ? Object.entries(metric.cases).map(([key, what]) => [caseOf(sdk, key), `${label}: ${what}`])
          : [[sdk, label]];
        for (const [row, text] of rows) {
          labels[row] = text;
          sizes[row] = size;
        }
        if (version && !variantOf) versions[label] = version;
      }
      sections.push(metricSection(metric, results[name], labels, sizes));
      console.log(sections.at(-1));
    }
  } finally {
    await collector.stop();
  }

  const verdicts = judge(results);
  sections.push(budgetSection(verdicts, options.quick));
  console.log(sections.at(-1));
  const seconds = (Date.now() - startedAt.getTime()) / 1000;
  const command = ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' ');
  const top = heading({ command, rounds: options.rounds, versions, startedAt, seconds, loadBefore });
  console.log(top);
  const isComplete = !options.quick && !options.metrics && !options.sdks;
  if (isComplete) writeFileSync(RESULTS, [top, ...sections].join('\n'));
  else console.log('A partial run: bench/RESULTS.md was left as it is.');

  if (options.strict && verdicts.some(({ verdict }) => verdict === 'MISSED')) process.exitCode = 1;
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
