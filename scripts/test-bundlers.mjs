// npm run test:bundlers: the packed package through every bundler, tracer and framework, each in a stranger's project.
//   --tool esbuild   this tool only; may be repeated
//   --short          only those that are part of npm test
// Versions are in __test__/bundlers/versions.json, what is written for each tool in docs/BUNDLERS.md.
import { parseArgs } from 'node:util';

import { allCases } from './test-bundlers/cases.mjs';

async function main() {
  const { values } = parseArgs({
    options: { tool: { type: 'string', multiple: true }, short: { type: 'boolean' } },
  });
  const tools = [...new Set(allCases.map(({ tool }) => tool))];
  const unknown = values.tool?.find((name) => !tools.includes(name));
  if (unknown !== undefined) throw new Error(`--tool ${unknown}: it is one of ${tools.join(', ')}.`);
  const chosen = allCases
    .filter(({ tool }) => values.tool?.includes(tool) ?? true)
    .filter(({ isShort }) => isShort === true || values.short !== true);
  const rows = [];
  for (const { tool, version, mode, run } of chosen) {
    const start = performance.now();
    const problem = await run().then(
      () => undefined,
      (error) => error.message,
    );
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${problem === undefined ? 'ok    ' : 'failed'}  ${tool} ${version}  ${mode}  ${seconds} s`);
    if (problem !== undefined) console.log(problem.trimEnd().replaceAll(/^/gm, '  '));
    rows.push([tool, version, mode, problem === undefined ? `ok, ${seconds} s` : '**failed**']);
  }
  console.log(`\n${tableOf(rows)}`);
  return rows.length > 0 && rows.every(([, , , result]) => result !== '**failed**');
}

function tableOf(rows) {
  const head = [
    ['tool', 'version', 'mode', 'result'],
    ['---', '---', '---', '---'],
  ];
  return [...head, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** What could not even begin: an option that is wrong. */
const failed = (error) => console.error(error.message);

process.exitCode = (await main().catch(failed)) === true ? 0 : 1;
