/**
 * npm run release:smoke: publishes the packages of a release to a registry on loopback, installs @companion/segment from
 * it as a user would, and runs the smoke test. Needs nothing but Node and npm.
 *
 *   --packages folder   with the tarballs; target/release/packages if not given
 *   --node path         a Node to run it with; this one if not given; may be repeated
 */
import { parseArgs } from 'node:util';

import { installed } from './installers.mjs';
import { PACKAGES } from './packages.mjs';
import { publishAll, startRegistry } from './registry.mjs';
import { smoke } from './smoke/run.mjs';

const { values } = parseArgs({
  options: { packages: { type: 'string' }, node: { type: 'string', multiple: true } },
});
const registry = await startRegistry();
try {
  await publishAll(registry.url, values.packages ?? PACKAGES);
  const { directory, code, output, remove } = await installed('npm', registry.url);
  if (code !== 0) throw new Error(`npm install ended with ${code}:\n${output}`);
  for (const node of values.node ?? [process.execPath]) {
    const steps = await smoke(directory, { command: [node] });
    for (const { step, problem } of steps) {
      console.log(`${problem === undefined ? 'ok    ' : 'failed'}  ${node}  ${step}`);
      if (problem !== undefined) console.log(problem.replaceAll(/^/gm, '        '));
    }
    if (steps.some(({ problem }) => problem !== undefined)) process.exitCode = 1;
  }
  remove();
} finally {
  await registry.close();
}
