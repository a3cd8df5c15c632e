// Rows that are tests of the engine in Rust: run by cargo, with their figures as a line of JSON in their output.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const HAS_GROUPS = process.platform !== 'win32';
const LINE = /\bchaos: (\{.*\})\s*$/m;
const NONE_OF = ['lost', 'spurious', 'corrupted'];
const OUTPUT_SHOWN = 1_500;
/** What has a column of its own. */
const COLUMNS = new Set([
  'row',
  'issued',
  'accepted',
  'kills',
  'faults',
  'delivered',
  'lost',
  'duplicates',
  'spurious',
  'corrupted',
  'tornTails',
  'seconds',
]);

/**
 * @typedef {object} EngineTest
 * @property {string} row
 * @property {string} filter name of the test, or how it begins
 * @property {Record<string, string>} [environment]
 * @property {Record<string, number>} [least] figures below which the test has not run as it was to
 */

/**
 * @param {import('./scene.mjs').Scene} scene
 * @param {EngineTest} test
 * @returns {Promise<import('./rows.mjs').Result>}
 */
export async function runEngineTest(scene, test) {
  scene.progress(`the engine's test ${test.filter}`);
  const features = ['--features', 'testing'];
  const args = [
    'test',
    '--release',
    '--locked',
    ...features,
    '--test',
    'engine',
    test.filter,
    '--',
    '--nocapture',
  ];
  const child = spawn('cargo', args, {
    cwd: ROOT,
    env: { ...process.env, ...test.environment },
    // A group of its own, so that the test it runs can be ended with it.
    detached: HAS_GROUPS,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid === undefined) {
    const [error] = await once(child, 'error');
    return { status: 'not run', problems: [`no cargo: ${error.message}`], facts: [] };
  }
  const group = HAS_GROUPS ? -pid : pid;
  scene.children.adopt(group);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  scene.children.forget(group);
  const result = judgeOutput(test, { code, stdout, stderr });
  return { ...result, figures: { seconds: scene.seconds, ...result.figures } };
}

/**
 * @param {EngineTest} test
 * @param {{ code: number | null, stdout: string, stderr: string }} ended
 * @returns {import('./rows.mjs').Result}
 */
export function judgeOutput({ row, filter, least = {} }, { code, stdout, stderr }) {
  const output = `${stderr}\n${stdout}`.trim();
  if (code !== 0) {
    const problems = ["broken: the engine's test passes", output.slice(-OUTPUT_SHOWN)];
    return { status: 'failed', problems, facts: [] };
  }
  const found = LINE.exec(output);
  if (found === null)
    return { status: 'failed', problems: [`did not run: no test ${filter} with figures`], facts: [] };
  /** @type {Record<string, any>} */
  const figures = JSON.parse(found[1]);
  const problems = [
    ...(figures.row === row ? [] : [`did not run: the figures are those of ${figures.row}`]),
    ...NONE_OF.filter((name) => (figures[name] ?? 0) !== 0).map(
      (name) => `broken: ${name} is ${figures[name]}`,
    ),
    ...Object.entries(least)
      .filter(([name, value]) => !(figures[name] >= value))
      .map(([name, value]) => `did not run: ${name} is ${figures[name]}, not ${value}`),
  ];
  const others = Object.entries(figures).filter(([name]) => !COLUMNS.has(name));
  return {
    status: problems.length === 0 ? 'passed' : 'failed',
    problems,
    figures,
    facts: others.length === 0 ? [] : [others.map(([name, value]) => `${name} ${value}`).join(', ')],
  };
}
