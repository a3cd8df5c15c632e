/** The plugin for bundlers on the packed package, with the tools that most use. All of them: npm run test:bundlers. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';

import * as exported from '@companion/segment/bundler';

import { allCases } from '../scripts/test-bundlers/cases.mjs';
import { runScript } from './support/programs.mjs';

const require = createRequire(import.meta.url);
const bundler = { ...exported };
const TOOLS = ['esbuild', 'rollup', 'rolldown', 'vite', 'webpack', 'rspack'];

describe('the packed package', () => {
  for (const { tool, mode, run } of allCases.filter(({ isShort }) => isShort === true)) {
    test(`${tool}: ${mode}`, run);
  }
});

describe('the plugin', () => {
  test('is there for each bundler, for both kinds of modules', () => {
    const names = [...TOOLS, 'default', 'unplugin', 'withSegment'].toSorted();
    assert.deepEqual(Object.keys(bundler).toSorted(), names);
    const required = require('@companion/segment/bundler');
    assert.deepEqual(Object.keys(required).toSorted(), names);
    for (const name of names) assert.equal(required[name], bundler[name], name);
    assert.deepEqual(Object.keys(bundler.default).toSorted(), TOOLS.toSorted());
  });

  test('loads no addon: it has to work where none is installed', async (t) => {
    const source = `
      await import('@companion/segment/bundler');
      const { sharedObjects } = process.report.getReport();
      console.log(sharedObjects.filter((path) => path.includes('companion-segment')).length);
    `;
    const { code, stdout, stderr } = await runScript(t, source);
    assert.deepEqual([code, stdout, stderr], [0, '0\n', '']);
  });

  test('takes no addons for an answer', () => {
    for (const tool of TOOLS) assert.ok(bundler[tool]({ mode: 'copy', addons: {} }));
  });

  for (const [what, options, field] of [
    ['an unknown option', { platform: 'linux-x64-gnu' }, 'platform'],
    ['an unknown mode', { mode: 'inline' }, 'mode'],
    ['platforms without copies', { platforms: ['linux-x64-gnu'] }, 'platforms'],
    ['addons without copies', { addons: {} }, 'addons'],
    ['an unknown platform', { mode: 'copy', platforms: ['linux-x64'] }, 'platforms'],
    ['no platform', { mode: 'copy', platforms: [] }, 'platforms'],
    ['an addon of an unknown platform', { mode: 'copy', addons: { amiga: 'x.node' } }, 'addons'],
  ]) {
    test(`refuses ${what}`, () => {
      for (const tool of TOOLS) {
        assert.throws(() => bundler[tool](options), { code: 'ERR_OPTION_INVALID', field });
      }
    });
  }
});

describe('withSegment', () => {
  const { withSegment } = bundler;
  const packages = ['@companion/segment'];

  test('leaves the package outside, and the rest as it is', () => {
    const given = { output: 'standalone', serverExternalPackages: ['sharp'] };
    assert.deepEqual(withSegment(given), {
      output: 'standalone',
      serverExternalPackages: ['sharp', ...packages],
    });
    assert.deepEqual(given.serverExternalPackages, ['sharp'], 'what is given stays');
    assert.deepEqual(withSegment(), { serverExternalPackages: packages });
  });

  test('names it once', () => {
    assert.deepEqual(withSegment(withSegment({})), { serverExternalPackages: packages });
  });

  test('takes a promise', async () => {
    assert.deepEqual(await withSegment(Promise.resolve({ output: 'export' })), {
      output: 'export',
      serverExternalPackages: packages,
    });
  });

  test('takes functions, and hands on what Next.js gives them', async () => {
    const made = (phase, { defaultConfig }) => ({ phase, defaultConfig });
    const expected = { phase: 'build', defaultConfig: 1, serverExternalPackages: packages };
    assert.deepEqual(withSegment(made)('build', { defaultConfig: 1 }), expected);
    assert.deepEqual(
      await withSegment(async (...given) => made(...given))('build', { defaultConfig: 1 }),
      expected,
    );
  });
});
