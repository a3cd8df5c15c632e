/** Programs that load the package in ways of their own: one file made by Bun, the worker pools of jest and vitest. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { outcome, run } from '../../test-nest/program.mjs';
import { bun, installed } from '../installers.mjs';
import { tool } from '../registry.mjs';

const TRACKED = `
  const { Analytics } = require('@companion/segment');
  const track = async (event) => {
    const analytics = new Analytics({ writeKey: 'any', host: process.env.SEGMENT });
    analytics.track({ userId: 'somebody', event });
    const { delivered } = await analytics.closeAndFlush();
    return delivered;
  };
`;
const FILES = 4;
/** Each copy of the modules is one more client of the engine. */
const COPIES = 5;

/**
 * @param {string} url of the registry
 * @param {import('./report.mjs').Report} report
 */
export async function checkPrograms(url, report) {
  const { startFakeSegment } = await import('@companion/segment/testing');
  const segment = await startFakeSegment();
  const env = { SEGMENT: segment.url };
  const expects = async (count, act) => {
    const before = segment.events.length;
    await act();
    const arrived = segment.events.length - before;
    if (arrived !== count) throw new Error(`${arrived} of ${count} events arrived`);
    return count === 1 ? 'one event' : `${count} events`;
  };

  await report.check('programs', 'one file made by bun build --compile, alone in its folder', () =>
    withInstalled('bun', url, (directory) =>
      expects(1, async () => {
        writeFileSync(join(directory, 'app.js'), `${TRACKED} track('compiled');`);
        const alone = mkdtempSync(join(tmpdir(), 'compiled-'));
        const program = join(alone, 'program');
        await run(bun(), ['build', '--compile', 'app.js', '--outfile', program], { cwd: directory });
        rmSync(join(directory, 'node_modules'), { recursive: true });
        await run(program, [], { cwd: alone, env });
        rmSync(alone, { recursive: true });
      }),
    ),
  );
  const pools = {
    'jest, workers and modules that are reset': {
      program: join(tool('jest'), 'bin', 'jest.js'),
      args: ['--ci', '--maxWorkers=2'],
      test: `
        test.each(Array.from({ length: ${COPIES} }, (_, copy) => [copy]))('copy %i', async (copy) => {
          jest.resetModules();
          ${TRACKED}
          expect(await track('jest')).toBe(1);
        });`,
    },
    'vitest, threads': vitest('threads'),
    'vitest, processes': vitest('forks'),
  };
  for (const [what, { program, args, test, configuration }] of Object.entries(pools)) {
    await report.check('programs', what, () =>
      withInstalled('npm', url, (directory) =>
        expects(FILES * COPIES, async () => {
          mkdirSync(join(directory, 'tests'));
          for (let number = 0; number < FILES; number += 1) {
            writeFileSync(join(directory, 'tests', `pool-${number}.test.cjs`), test);
          }
          writeFileSync(
            join(directory, 'jest.config.cjs'),
            "module.exports = { testRegex: '[.]test[.]cjs$' };",
          );
          if (configuration !== undefined) writeFileSync(join(directory, 'vitest.config.mjs'), configuration);
          const { code, output } = await outcome(process.execPath, [program, ...args], {
            cwd: directory,
            env,
          });
          if (code !== 0) throw new Error(`ended with ${code}:\n${output.slice(-2_000)}`);
          if (output.includes('did not exit')) throw new Error(output.slice(-2_000));
        }),
      ),
    );
  }
  await segment.close();
}

function vitest(pool) {
  return {
    program: join(tool('vitest'), 'vitest.mjs'),
    args: ['run', `--pool=${pool}`],
    configuration: `export default { test: { globals: true, include: ['tests/*.test.cjs'] } };`,
    test: `
      test.each(Array.from({ length: ${COPIES} }, (_, copy) => [copy]))('copy %i', async () => {
        ${TRACKED}
        expect(await track('vitest')).toBe(1);
      });`,
  };
}

async function withInstalled(name, url, act) {
  const { directory, code, output, remove } = await installed(name, url);
  try {
    if (code !== 0) throw new Error(`${name} ended with ${code}:\n${output}`);
    return await act(directory);
  } finally {
    remove();
  }
}
