// npm run test:nest: the packed package in real applications, on each NestJS, HTTP adapter and Node line.
//   --nest 12           this major only; may be repeated, as may all of these
//   --adapter express   this adapter only
//   --node 22           this line of Node only; `current` is the one that runs this
// What a project of each major installs is in __test__/nestjs/versions.json, how it compiles in
// __test__/nestjs/projects, what is tested in __test__/nestjs/suite.
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { packed } from './packed.mjs';
import { CURRENT, nodeOf } from './test-nest/node-lines.mjs';
import { outcome } from './test-nest/program.mjs';
import { compile, copySources, insideOnly, install, requireInside } from './test-nest/project.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TESTS = join(ROOT, '__test__', 'nestjs');
const TARGET = join(ROOT, 'target');

const ADAPTERS = ['express', 'fastify'];
const NODE_LINES = ['20', '22', '24'];

async function main() {
  const versions = JSON.parse(await readFile(join(TESTS, 'versions.json'), 'utf8'));
  const wanted = wantedCells(Object.keys(versions.nest));
  const nodes = [];
  for (const line of wanted.nodes) {
    nodes.push(await nodeOf(line, versions.node));
  }
  const tarballs = await packed();
  const rows = [];
  for (const major of wanted.majors) {
    const { project, problem } = await prepared(major, versions.nest[major], tarballs);
    for (const adapter of wanted.adapters) {
      const cells = [];
      for (const node of nodes) {
        const cell = problem === undefined ? await tested(project, adapter, node) : { text: problem };
        const word = cell.passed === true ? 'ok    ' : 'failed';
        console.log(`${word}  nest ${major}  ${adapter}  node ${node.version}  ${cell.text}`);
        if (cell.output !== undefined) console.log(indented(cell.output));
        cells.push(cell);
      }
      rows.push({ name: `${major} ${adapter}`, cells });
    }
  }
  console.log(`\n${tableOf(nodes, rows)}`);
  return rows.every(({ cells }) => cells.every(({ passed }) => passed === true));
}

function wantedCells(majors) {
  const list = { type: 'string', multiple: true };
  const { values } = parseArgs({ options: { nest: list, adapter: list, node: list } });
  const lines = values.node?.map((line) => (line === 'current' ? CURRENT : line));
  return {
    majors: chosen('--nest', values.nest, majors),
    adapters: chosen('--adapter', values.adapter, ADAPTERS),
    nodes: chosen('--node', lines, [...new Set([...NODE_LINES, ...(lines ?? []).filter(isCurrent)])]),
  };
}

const isCurrent = (line) => line === CURRENT;

function chosen(option, given, all) {
  const unknown = given?.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new Error(`${option} ${unknown}: it is one of ${all.join(', ')}.`);
  return given === undefined ? all : all.filter((name) => given.includes(name));
}

/** The project of one NestJS, installed and compiled. */
async function prepared(major, { type, dependencies }, tarballs) {
  const project = join(TARGET, 'nestjs', `nest-${major}`);
  const settings = join(TESTS, 'projects', `nest-${major}.json`);
  try {
    await step(`nest ${major}  installed`, async () => {
      await install(project, { name: `nest-${major}`, type, dependencies }, tarballs);
      await requireInside(project);
    });
    await copySources(join(TESTS, 'suite'), join(project, 'suite'));
    await writeFile(join(project, 'tsconfig.json'), await readFile(settings));
    await step(`nest ${major}  compiled`, () => compile(project, 'compiled'));
    return { project };
  } catch (error) {
    console.log(indented(error.message));
    return { project, problem: 'no build' };
  }
}

/** Runs the suite once. */
async function tested(project, adapter, node) {
  const start = performance.now();
  const names = await readdir(join(project, 'compiled'));
  const files = names.filter((name) => name.endsWith('.test.js')).map((name) => join('compiled', name));
  const args = ['--test', '--test-concurrency=2', '--test-reporter=spec', ...files];
  const env = { ...insideOnly(project), NEST_ADAPTER: adapter };
  const { code, output } = await outcome(node.path, args, { cwd: project, env });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const total = countOf(output, 'tests');
  const passing = countOf(output, 'pass');
  // A suite that is empty, and tests that were left out, prove nothing.
  const passed = code === 0 && total > 0 && passing === total;
  return { passed, text: `${passing}/${total}, ${seconds} s`, output: passed ? undefined : output };
}

/** From the summary of the `spec` reporter. */
const countOf = (output, what) => Number(new RegExp(`^ℹ ${what} (\\d+)$`, 'm').exec(output)?.[1] ?? 0);

function tableOf(nodes, rows) {
  const lines = [
    ['NestJS', ...nodes.map(({ version }) => `Node ${version}`)],
    ['---', ...nodes.map(() => '---')],
    ...rows.map(({ name, cells }) => [name, ...cells.map(markOf)]),
  ];
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n');
}

const markOf = ({ passed, text }) => (passed === true ? text : `**failed** ${text}`);

async function step(name, action) {
  const start = performance.now();
  await action();
  console.log(`${name}  ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

const indented = (text) => text.trimEnd().replaceAll(/^/gm, '  ');

/** What could not even begin: an option that is wrong, a Node that is not to be had. */
const failed = (error) => console.error(error.message);

process.exitCode = (await main().catch(failed)) === true ? 0 : 1;
