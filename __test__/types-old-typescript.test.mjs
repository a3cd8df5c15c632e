/** The declarations of every subpath, with the oldest TypeScript that they are for, and with those that changed most. */
import assert from 'node:assert/strict';
import { appendFile, cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { packed } from '../scripts/packed.mjs';
import { outcome } from '../scripts/test-nest/program.mjs';
import { install } from '../scripts/test-nest/project.mjs';

const TARGET = fileURLToPath(new URL('../target/old-typescript', import.meta.url));
const MANIFEST = new URL('../package.json', import.meta.url);
const { exports: subpaths } = JSON.parse(await readFile(MANIFEST, 'utf8'));

const COMPILERS = {
  '5.0': '5.0.4',
  5.2: '5.2.2',
  5.3: '5.3.3',
  '7.0': '7.0.2',
};
/** NestJS 12 is for newer ones: its CommonJS users need `nodenext`. */
const PEERS = {
  '@nestjs/common': '11.2.10',
  '@nestjs/core': '11.2.10',
  '@opentelemetry/api': '1.9.0',
  '@types/node': '20.19.43',
  'prom-client': '15.1.3',
  'reflect-metadata': '0.2.2',
  rxjs: '7.8.2',
};
/** What applications are compiled with. `node10` is gone from the newest; it finds subpaths by `typesVersions`. */
const RESOLUTIONS = {
  node16: { module: 'node16', kinds: ['mts', 'cts'] },
  bundler: { module: 'esnext', kinds: ['mts'] },
  node10: { module: 'commonjs', kinds: ['ts'], compiler: '5.0' },
};

const aliases = Object.entries(COMPILERS).map(([line, version]) => [
  `typescript-${line}`,
  `npm:typescript@${version}`,
]);
await install(
  TARGET,
  { name: 'old-typescript', dependencies: { ...PEERS, ...Object.fromEntries(aliases) } },
  await packed(),
);

/** Imports and exports all there is. */
const everything = Object.keys(subpaths)
  .filter((subpath) => subpath !== './package.json')
  .map((subpath, index) => `export * as part${index} from '@companion/segment${subpath.slice(1)}';`)
  .join('\n');

/** Use of what an application touches: a type that is not found would be `any`, and nothing would be refused. */
const USE = `
import { Analytics } from '@companion/segment';
import { withSegment } from '@companion/segment/bundler';
import { CommercetoolsWebhookModule } from '@companion/segment/commercetools/nestjs';
import { SegmentModule, type SegmentModuleAsyncOptions } from '@companion/segment/nestjs';
import type { DynamicModule } from '@nestjs/common';

const asynchronous: SegmentModuleAsyncOptions = { isGlobal: true, useFactory: () => ({ writeKey: 'key' }) };
export const modules: DynamicModule[] = [
  SegmentModule.forRoot({ writeKey: 'key', name: 'marketing' }),
  SegmentModule.forRootAsync(asynchronous),
  CommercetoolsWebhookModule.forRoot({ authentication: { secret: 'secret' }, path: 'hook' }),
];
export const accepted: boolean = new Analytics({ writeKey: 'key' }).track({ userId: 'u1', event: 'Ordered' });
export const packages: string[] = withSegment().serverExternalPackages;

// @ts-expect-error it is a text
SegmentModule.forRoot({ writeKey: 1 });
// @ts-expect-error there is no such extra
SegmentModule.forRootAsync({ isGlobaal: true, useFactory: () => ({ writeKey: 'key' }) });
// @ts-expect-error there is no such option
CommercetoolsWebhookModule.forRoot({ authentification: {} });
`;

/** Mistakes, in declarations that applications name and in one that they do not. */
const PLANTED = {
  'nestjs/module.d.ts': 'export declare const planted: NowhereDeclared;',
  'bundler/options.d.ts': 'export interface Planted extends SegmentBundlerOptions { mode: 1 }',
  'redact.d.ts': 'export declare const planted: NowhereDeclared;',
};

/** Compiles in a folder of the project; resolves with the errors and the files that were read. */
async function compile(line, resolution, folder) {
  const { module, kinds } = RESOLUTIONS[resolution];
  const files = [];
  for (const kind of kinds) {
    files.push(`everything.${kind}`, `use.${kind}`);
    await writeFile(join(folder, `everything.${kind}`), everything);
    await writeFile(join(folder, `use.${kind}`), USE);
  }
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022'],
    module,
    moduleResolution: resolution,
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    experimentalDecorators: true,
    // All declarations that are read are checked, those of others too, but for the language's own.
    skipLibCheck: false,
    skipDefaultLibCheck: true,
    noEmit: true,
  };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  const compiler = join(TARGET, 'node_modules', `typescript-${line}`, 'bin', 'tsc');
  const { output } = await outcome(
    process.execPath,
    [compiler, '-p', '.', '--pretty', 'false', '--listFiles'],
    {
      cwd: folder,
    },
  );
  const lines = output.trim().split('\n');
  return { errors: lines.filter((text) => /error TS\d+/.test(text)), files: lines };
}

/** A folder in the project, with a copy of the package if it is to be changed. */
async function newFolder(t, { copies = false } = {}) {
  const folder = await realpath(await mkdtemp(join(TARGET, 'application-')));
  t.after(() => rm(folder, { recursive: true }));
  if (copies) {
    const inside = join('node_modules', '@companion', 'segment');
    await mkdir(join(folder, inside, '..'), { recursive: true });
    await cp(join(TARGET, inside), join(folder, inside), { recursive: true });
  }
  return folder;
}

for (const line of Object.keys(COMPILERS)) {
  describe(`TypeScript ${COMPILERS[line]}`, () => {
    const fitting = Object.entries(RESOLUTIONS).filter(([, { compiler = line }]) => compiler === line);
    for (const [resolution, { kinds }] of fitting) {
      test(`takes every subpath with moduleResolution ${resolution}`, async (t) => {
        const { errors, files } = await compile(line, resolution, await newFolder(t));
        assert.deepEqual(errors, []);
        const read = new Set(files.filter((path) => path.includes('@companion/segment/')));
        const wanted = Object.values(subpaths)
          .filter((entry) => typeof entry === 'object')
          .flatMap((entry) =>
            kinds.map((kind) => (kind === 'mts' ? entry.import.types : entry.require.types)),
          );
        assert.notEqual(wanted.length, 0);
        for (const path of wanted) {
          const found = Array.from(read).some((file) => file.endsWith(join('@companion', 'segment', path)));
          assert.ok(found, `${path} was not read`);
        }
      });
    }

    test('finds what is planted in our declarations', async (t) => {
      const folder = await newFolder(t, { copies: true });
      for (const [file, text] of Object.entries(PLANTED)) {
        await appendFile(join(folder, 'node_modules', '@companion', 'segment', 'dist', file), `\n${text}\n`);
      }
      const { errors } = await compile(line, 'bundler', folder);
      const found = Object.keys(PLANTED).filter((file) => errors.some((error) => error.includes(file)));
      assert.deepEqual(found, Object.keys(PLANTED));
    });
  });
}

test('TypeScript before 5.3 does not take what newer ones write into declarations by themselves', async (t) => {
  const folder = await newFolder(t, { copies: true });
  const planted =
    "export declare const planted: import('@nestjs/common', { with: { 'resolution-mode': 'import' } }).Type;";
  await appendFile(
    join(folder, 'node_modules', '@companion', 'segment', 'dist', 'nestjs', 'tokens.d.ts'),
    `\n${planted}\n`,
  );
  const { errors } = await compile('5.2', 'bundler', folder);
  assert.ok(
    errors.some((error) => error.includes('nestjs/tokens.d.ts')),
    errors.join('\n'),
  );
});
