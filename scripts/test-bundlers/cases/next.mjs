// Next.js with each of its bundlers: built, moved to where there is no package, started, and asked.
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

/** What a stranger may write; the last one does without the package's help. */
const CONFIGURATIONS = {
  withSegment: [],
  'withSegment, a function': [
    ['withSegment({', 'withSegment(async () => ({'],
    ['});', '}));'],
  ],
  serverExternalPackages: [['withSegment({', "({ serverExternalPackages: ['@companion/segment'],"]],
};

export const cases = ['turbopack', 'webpack'].flatMap((bundler) =>
  Object.entries(CONFIGURATIONS).map(([mode, changes]) => ({
    tool: `Next.js, ${bundler}`,
    version: versions.next.next,
    mode,
    run: () => expectTracking(bundler, changes),
  })),
);

async function expectTracking(bundler, changes) {
  const cwd = await elsewhere();
  const { folder, code, output } = await buildNext(bundler, changes);
  if (code !== 0) throw new Error(output);
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
