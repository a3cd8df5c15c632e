// nest build with each of its builders.
import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { run } from '../../test-nest/program.mjs';
import { insideOnly } from '../../test-nest/project.mjs';
import { addonHere, project, versions, write } from '../projects.mjs';
import { expectEvent } from '../running.mjs';
import { snippet } from '../snippets.mjs';

const MAIN = `
import 'reflect-metadata';
import { SegmentModule, SegmentService } from '@companion/segment/nestjs';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

@Module({ imports: [SegmentModule.forRoot()] })
class AppModule {}

async function main(): Promise<void> {
  const application = await NestFactory.createApplicationContext(AppModule, { logger: false });
  application.get(SegmentService).track({ userId: 'u1', event: 'Bundled' });
  await application.close();
}

void main();
`;

const COMPILER = {
  compilerOptions: {
    target: 'es2022',
    module: 'nodenext',
    moduleResolution: 'nodenext',
    types: ['node'],
    strict: true,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    skipLibCheck: true,
    outDir: './dist',
    rootDir: './src',
  },
  include: ['src'],
};

const API = join('apps', 'api');

const alone = (builder) => ({
  'nest-cli.json': JSON.stringify({ sourceRoot: 'src', compilerOptions: { builder } }),
  'tsconfig.json': JSON.stringify(COMPILER),
  'src/main.ts': MAIN,
});

/** Applications beside one another, which `nest build` bundles. */
const MONOREPO = {
  'nest-cli.json': JSON.stringify({
    monorepo: true,
    root: API,
    sourceRoot: join(API, 'src'),
    compilerOptions: { webpack: true, tsConfigPath: join(API, 'tsconfig.json') },
    projects: {
      api: {
        type: 'application',
        root: API,
        entryFile: 'main',
        sourceRoot: join(API, 'src'),
        compilerOptions: { tsConfigPath: join(API, 'tsconfig.json') },
      },
    },
  }),
  'tsconfig.json': JSON.stringify(COMPILER),
  [join(API, 'tsconfig.json')]: JSON.stringify({
    extends: '../../tsconfig.json',
    compilerOptions: { rootDir: './src', outDir: '../../dist/apps/api' },
    include: ['src'],
  }),
  [join(API, 'src', 'main.ts')]: MAIN,
};

export const cases = [
  { mode: 'tsc', run: () => expectTracking(alone('tsc'), 'dist/main.js') },
  { mode: 'swc', run: () => expectTracking(alone('swc'), 'dist/main.js') },
  { mode: 'webpack, a monorepo', run: () => expectTracking(MONOREPO, 'dist/apps/api/main.js') },
  {
    mode: "webpack, a monorepo, plugin, 'copy'",
    run: async () => {
      const files = { ...MONOREPO, 'webpack.config.js': snippet('webpack.config.js') };
      const folder = await expectTracking(files, 'dist/apps/api/main.js');
      const { file } = await addonHere();
      assert.deepEqual((await readdir(folder)).toSorted(), [file, 'main.js']);
    },
  },
].map((one) => ({ tool: 'nest build', version: versions.nest['@nestjs/cli'], ...one }));

/** Resolves with the folder that was built. */
async function expectTracking(files, output) {
  const folder = await project('nest');
  for (const name of ['src', 'apps', 'dist', 'webpack.config.js']) {
    await rm(join(folder, name), { recursive: true, force: true });
  }
  await write(folder, files);
  await run(join(folder, 'node_modules', '.bin', 'nest'), ['build'], { cwd: folder });
  await expectEvent(process.execPath, [output], { cwd: folder, env: insideOnly(folder) });
  return dirname(join(folder, output));
}
