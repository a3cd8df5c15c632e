// Next.js with each of its bundlers: built, moved to where there is no package, started, and asked.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { outcome } from '../../test-nest/program.mjs';
import { insideOnly } from '../../test-nest/project.mjs';
import { elsewhere, moveTo, project, versions, write } from '../projects.mjs';
import { expectEvents } from '../running.mjs';
import { askServer } from '../server.mjs';
import { snippet } from '../snippets.mjs';

const CONFIGURATION = 'next.config.mjs';
const ROUTE = 'app/track/route.js';
/** The project lies in a repository, which has a lock file as well. */
const ROOTS =
  "output: 'standalone', outputFileTracingRoot: import.meta.dirname, turbopack: { root: import.meta.dirname }";

/** What each of its bundlers says of an addon. */
const STUMBLES = {
  turbopack: /\(node addon\) is not placeable in ESM chunks/,
  webpack: /Module parse failed: Unexpected character/,
};

const FUNCTION = [
  ['withSegment({', 'withSegment(async () => ({'],
  ['});', '}));'],
];
const WITHOUT = [['withSegment({', '({']];
const BY_HAND = [['withSegment({', "({ serverExternalPackages: ['@companion/segment'],"]];

export const cases = Object.entries(STUMBLES)
  .flatMap(([bundler, stumbles]) => [
    { bundler, mode: 'as it is: stumbles over the addon', run: () => expectStumbling(bundler, stumbles) },
    { bundler, mode: 'serverExternalPackages', run: () => expectTracking(bundler, BY_HAND) },
    { bundler, mode: 'withSegment', run: () => expectTracking(bundler, []) },
  ])
  .concat({
    bundler: 'turbopack',
    mode: 'withSegment, a function',
    run: () => expectTracking('turbopack', FUNCTION),
  })
  .map(({ bundler, ...one }) => ({ tool: `Next.js, ${bundler}`, version: versions.next.next, ...one }));

async function expectStumbling(bundler, stumbles) {
  const { code, output } = await buildNext(bundler, WITHOUT);
  assert.notEqual(code, 0, output);
  assert.match(output, stumbles);
}

async function expectTracking(bundler, changes) {
  const cwd = await elsewhere();
  const { folder, code, output } = await buildNext(bundler, changes);
  assert.equal(code, 0, output);
  await moveTo(cwd, join(folder, '.next', 'standalone'));
  await expectEvents((env) =>
    askServer(
      ['server.js'],
      { cwd, env: { ...insideOnly(cwd), ...env } },
      { path: '/track', ready: /Ready in/ },
    ),
  );
}

async function buildNext(bundler, changes) {
  const folder = await project('next');
  await rm(join(folder, '.next'), { recursive: true, force: true });
  await write(folder, {
    [CONFIGURATION]: snippet(CONFIGURATION, [["output: 'standalone'", ROOTS], ...changes]),
    [ROUTE]: snippet(ROUTE),
  });
  const args = [join(folder, 'node_modules', 'next', 'dist', 'bin', 'next'), 'build', `--${bundler}`];
  return {
    folder,
    ...(await outcome(process.execPath, args, { cwd: folder, env: { NEXT_TELEMETRY_DISABLED: '1' } })),
  };
}
