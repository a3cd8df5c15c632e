// npm run lint: every check, one line each, all of them even if one fails.
//   --only name   runs this check only; may be repeated
//   --list        says which checks there are
import { parseArgs } from 'node:util';

import {
  addonIsLoadedOnce,
  napiStaysAtTheBorder,
  roomsImportDownwards,
  rustImportsRunDownwards,
} from './lint/borders.mjs';
import { cargoDeny } from './lint/cargo-deny.mjs';
import { run } from './lint/command.mjs';
import { npmPackages, platformTable, tarball } from './lint/tarball.mjs';
import { workflows } from './lint/workflows.mjs';
import { forbiddenWords } from './lint/words.mjs';
import { requireTarget } from './setup/rust-target.mjs';

/** WebAssembly without a system: no threads, sockets or files. */
const WASM = 'wasm32-unknown-unknown';

/**
 * A check resolves when all is well and throws what is wrong.
 * @type {Record<string, () => Promise<unknown>>}
 */
const CHECKS = {
  rustfmt: () => run('cargo', ['fmt', '--check', '--', '--color', 'never']),
  clippy: async () => {
    // What only tests use must not be in the addon.
    await run('cargo', ['clippy', '--locked', '--', '--deny', 'warnings']);
    const everything = ['--all-targets', '--features', 'testing'];
    await run('cargo', ['clippy', '--locked', ...everything, '--', '--deny', 'warnings']);
  },
  'wasm-core': async () => {
    requireTarget(WASM);
    const core = ['--lib', '--target', WASM];
    // Nothing drives it there yet: what only a driver calls has no caller.
    const uncalled = ['--allow', 'dead-code', '--allow', 'unused-imports'];
    await run('cargo', ['clippy', '--locked', ...core, '--', '--deny', 'warnings', ...uncalled]);
  },
  rustdoc: () =>
    run('cargo', ['doc', '--locked', '--no-deps', '--document-private-items'], {
      RUSTDOCFLAGS: '--deny warnings',
    }),
  'cargo-deny': cargoDeny,
  prettier: () => run('prettier', ['--check', '--log-level', 'warn', '.']),
  oxlint: () => run('oxlint', ['--format', 'unix']),
  'rust-imports': rustImportsRunDownwards,
  'rust-rooms': roomsImportDownwards,
  'napi-border': napiStaysAtTheBorder,
  'addon-border': addonIsLoadedOnce,
  words: forbiddenWords,
  workflows,
  'npm-packages': npmPackages,
  'platform-table': platformTable,
  rebuild: rebuildChangesNothing,
  tarball,
};

/** `index.d.ts` is committed; it has to be what the sources make of it. */
async function rebuildChangesNothing() {
  await run(process.execPath, ['scripts/setup.mjs', '--rebuild']);
  await run('git', ['diff', '--exit-code', '--', 'index.d.ts']);
}

async function main() {
  const { values } = parseArgs({
    options: { only: { type: 'string', multiple: true }, list: { type: 'boolean' } },
  });
  const names = values.only ?? Object.keys(CHECKS);
  const unknown = names.filter((name) => !Object.hasOwn(CHECKS, name));
  if (values.list === true || unknown.length > 0) {
    if (unknown.length > 0) console.error(`No such check: ${unknown.join(', ')}.`);
    console.log(`Checks: ${Object.keys(CHECKS).join(', ')}`);
    return unknown.length === 0;
  }
  const isReady = await run(process.execPath, ['scripts/setup.mjs'], {}, { show: true }).then(
    () => true,
    () => false,
  );
  if (!isReady) return false;
  let passed = true;
  for (const name of names) {
    const start = performance.now();
    const problem = await CHECKS[name]().then(
      () => undefined,
      (/** @type {Error} */ error) => error.message,
    );
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${problem === undefined ? 'ok    ' : 'failed'}  ${name}  ${seconds} s`);
    if (problem !== undefined) console.log(problem.trimEnd().replaceAll(/^/gm, '  '));
    passed &&= problem === undefined;
  }
  return passed;
}

process.exitCode = (await main()) ? 0 : 1;
