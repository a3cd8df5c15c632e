/** The package as an application gets it: by name, from ES modules and CommonJS. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import DefaultAnalytics, * as esm from '@companion/segment';
import * as testing from '@companion/segment/testing';

import { startSegment } from './support/clients.mjs';
import { runScript } from './support/programs.mjs';

const require = createRequire(import.meta.url);
const cjs = require('@companion/segment');
const exported = { ...esm };

const NAMES = [
  'Analytics',
  'AnalyticsError',
  'Context',
  'ContextCancelation',
  'FetchHTTPClient',
  'ValidationError',
  'default',
];

describe('the package', () => {
  test('exports the same names to both, and nothing else', () => {
    assert.deepEqual(Object.keys(esm).toSorted(), NAMES);
    assert.deepEqual(Object.keys(cjs).toSorted(), NAMES);
  });

  test('is one implementation, however it is loaded', async () => {
    for (const name of NAMES) assert.equal(exported[name], cjs[name], name);
    const dynamic = await import('@companion/segment');
    assert.equal(dynamic.Analytics, cjs.Analytics);
    assert.equal(esm.default, cjs.Analytics);
    assert.equal(DefaultAnalytics, cjs.Analytics);
  });

  test('has everything that analytics-node exports', () => {
    for (const name of Object.keys(require('@segment/analytics-node'))) assert.ok(NAMES.includes(name), name);
  });

  test('/testing exports the fake and the double to both', () => {
    const names = ['RecordingAnalytics', 'startFakeSegment'];
    assert.deepEqual(Object.keys(testing).toSorted(), names);
    assert.deepEqual(Object.keys(require('@companion/segment/testing')).toSorted(), names);
    assert.ok(testing.RecordingAnalytics.prototype instanceof cjs.Analytics);
  });

  test('/package.json can be read', () => {
    assert.equal(require('@companion/segment/package.json').name, '@companion/segment');
  });

  for (const path of ['index.js', 'dist/index.js', 'dist/analytics.js', 'ts/index.ts', 'nothing']) {
    test(`/${path} is not for everybody`, async () => {
      assert.throws(() => require(`@companion/segment/${path}`), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' });
      await assert.rejects(import(`@companion/segment/${path}`), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' });
    });
  }

  test('does nothing when it is only loaded', async (t) => {
    const source = `
      import fs from 'node:fs';
      const listeners = () => process.eventNames().map((name) => [String(name), process.listenerCount(name)]);
      const before = listeners();
      await import('@companion/segment');
      const threads = fs.existsSync('/proc/self/task') ? fs.readdirSync('/proc/self/task') : [];
      const names = threads.map((id) => fs.readFileSync('/proc/self/task/' + id + '/comm', 'utf8').trim());
      console.log(JSON.stringify({ before, after: listeners(), isRunning: names.includes('segment') }));
    `;
    const { code, stdout, stderr } = await runScript(t, source);
    assert.deepEqual([code, stderr], [0, '']);
    const { before, after, isRunning } = JSON.parse(stdout);
    assert.deepEqual([after, isRunning], [before, false]);
  });
});

describe('a script of the other kind', () => {
  for (const [what, type, source] of [
    ['CommonJS', 'commonjs', "const { Analytics } = require('@companion/segment');"],
    ['CommonJS with the default', 'commonjs', "const Analytics = require('@companion/segment').default;"],
    ['CommonJS with import()', 'commonjs', ''],
    ['an ES module', 'module', "import { Analytics } from '@companion/segment';"],
    ['an ES module with the default', 'module', "import Analytics from '@companion/segment';"],
  ]) {
    test(`${what} tracks`, async (t) => {
      const segment = await startSegment(t);
      const call = `new Analytics({ writeKey: 'k', host: '${segment.url}' }).track({ userId: 'u1', event: 'e' });`;
      const body =
        source === '' ? `import('@companion/segment').then(({ Analytics }) => { ${call} });` : source + call;
      const { code, stderr } = await runScript(t, body, { type });
      assert.deepEqual([code, stderr], [0, '']);
      assert.equal(segment.eventCount, 1);
    });
  }
});

describe('an ES module that imports NestJS after us', () => {
  // Node 20.19 refuses to require() an ES module that is imported further down, as NestJS 12 may be.
  for (const directory of ['nestjs', join('commercetools', 'nestjs')]) {
    test(`gets what ${directory} requires of it evaluated first`, () => {
      const files = readdirSync(join('dist', directory)).filter((name) => name.endsWith('.js'));
      const sources = files.map((name) => readFileSync(join('dist', directory, name), 'utf8'));
      const required = new Set(sources.join('').match(/(?<=require\(")@nestjs\/[\w-]+(?="\))/g));
      const entrance = readFileSync(join('dist', directory, 'index.mjs'), 'utf8');
      const imported = entrance.match(/(?<=^import ')[^']+(?=';$)/gm);
      assert.ok(required.size > 0);
      assert.deepEqual(imported.toSorted(), [...required].toSorted());
      assert.ok(entrance.indexOf(imported.at(-1)) < entrance.indexOf('./index.js'));
    });
  }
});
