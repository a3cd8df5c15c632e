import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

import { DEFECT, DELIBERATE } from '../libraries.mjs';

const require = createRequire(import.meta.url);
const NAMES = ['Analytics', 'Context', 'FetchHTTPClient'];

export const cases = [
  ...NAMES.map((name) => ({
    name: `require() has the class ${name}`,
    run: (library) => assert.equal(require(library.name)[name].prototype.constructor.name, name),
  })),
  {
    name: 'require() has Analytics as default too',
    run(library) {
      const exported = require(library.name);
      assert.equal(exported.default, exported.Analytics);
    },
  },
  {
    name: 'import { Analytics, Context, FetchHTTPClient }',
    async run(library) {
      const exported = await import(library.name);
      for (const name of NAMES) assert.equal(typeof exported[name], 'function');
    },
  },
  {
    name: 'import and require() give the same classes',
    async run(library) {
      const exported = await import(library.name);
      for (const name of NAMES) assert.equal(exported[name], require(library.name)[name]);
    },
  },
  {
    name: 'import Analytics from, in an ES module of Node',
    async run(library) {
      const exported = await import(library.name);
      assert.equal(exported.default, library.Analytics);
    },
    differs: {
      kind: DEFECT,
      theirs: 'an object with the exports; `new` fails',
      ours: 'the class',
      why: 'their package has no `exports` map',
      advice: 'drop a `.default`',
      async run(library) {
        const exported = await import(library.name);
        assert.equal(typeof exported.default, 'object');
        assert.equal(exported.default.default, library.Analytics);
      },
    },
  },
  {
    name: 'classes of errors',
    run(library) {
      const { AnalyticsError, ContextCancelation, ValidationError } = require(library.name);
      assert.ok(ValidationError.prototype instanceof AnalyticsError);
      assert.throws(() => library.Context.system().cancel(), ContextCancelation);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'not exported',
      ours: '`AnalyticsError`, `ValidationError`, `ContextCancelation`',
      why: '`instanceof` is of use',
      run: (library) =>
        assert.deepEqual(Object.keys(require(library.name)).toSorted(), [...NAMES, 'default'].toSorted()),
    },
  },
];
