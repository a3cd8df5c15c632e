// Nitro, the server of Nuxt.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from '../../test-nest/program.mjs';
import { insideOnly } from '../../test-nest/project.mjs';
import { elsewhere, moveTo, project, versions, write } from '../projects.mjs';
import { expectEvents } from '../running.mjs';
import { askServer } from '../server.mjs';
import { snippet } from '../snippets.mjs';

const CONFIGURATION = 'nitro.config.mjs';

const ROUTE = `
import { Analytics } from '@companion/segment';

let analytics;

export default defineEventHandler(async () => {
  analytics ??= Analytics.fromEnvironment();
  await analytics.deliver.track({ userId: 'u1', event: 'Bundled' });
  return { tracked: true };
});
`;

/** It traces packages and takes their files with it. */
const AS_IT_IS = [
  ['noExternals: true,', ''],
  [/rollupConfig: .*,/, ''],
];

export const cases = [
  { mode: 'as it is', run: () => expectTracking(AS_IT_IS) },
  { mode: "noExternals, plugin, 'copy'", run: () => expectTracking([]) },
].map((one) => ({ tool: 'Nitro', version: versions.nitro.nitropack, ...one }));

async function expectTracking(changes) {
  const folder = await project('nitro');
  await rm(join(folder, '.output'), { recursive: true, force: true });
  await write(folder, {
    [CONFIGURATION]: snippet(CONFIGURATION, changes),
    'server/routes/track.post.js': ROUTE,
  });
  await run(join(folder, 'node_modules', '.bin', 'nitropack'), ['build'], { cwd: folder, env: { CI: '1' } });
  const cwd = await elsewhere();
  await moveTo(cwd, join(folder, '.output'));
  await expectEvents((env) =>
    askServer(
      ['server/index.mjs'],
      { cwd, env: { ...insideOnly(cwd), ...env } },
      { path: '/track', ready: /Listening on/ },
    ),
  );
}
