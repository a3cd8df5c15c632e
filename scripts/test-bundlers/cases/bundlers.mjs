// Bundlers that the plugin is for: what happens without it, and that it cures that in both of its modes.
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { built, expectFailure } from '../building.mjs';
import { addonHere, versions } from '../projects.mjs';
import {
  APPLICATION,
  expectForgotten,
  expectSelfContained,
  expectWithPackage,
  LATE_APPLICATION,
} from '../running.mjs';
import { snippet } from '../snippets.mjs';

/** A call of the plugin, in the snippets. */
const PLUGIN = /segment\.\w+\(\{ mode: 'copy' \}\),?/;
/** @type {[string, string]} */
const EXTERNAL = ["{ mode: 'copy' }", ''];

/**
 * @typedef {[from: string | RegExp, to: string]} Change
 * @typedef {object} Bundler
 * @property {string} version
 * @property {string} file its configuration in docs/BUNDLERS.md
 * @property {string[]} command
 * @property {string} output what it writes
 * @property {RegExp} stumbles what it says of an addon
 * @property {Change[]} [naked] beside leaving out the plugin
 * @property {Change[]} outside leaves the package outside without the plugin
 * @property {{ changes: Change[], output: string }} other the other kind of modules
 * @property {{ changes: Change[], output: string, folder: string, source?: string }} parts several files, some in a folder
 */

/** @type {Record<string, Bundler>} */
const BUNDLERS = {
  esbuild: {
    version: versions.bundlers.esbuild,
    file: 'esbuild.mjs',
    command: ['node', 'esbuild.mjs'],
    output: 'main.js',
    stumbles: /No loader is configured for "\.node" files/,
    outside: [[`plugins:`, `packages: 'external', plugins:`]],
    other: {
      changes: [["platform: 'node'", "platform: 'node', format: 'esm', outExtension: { '.js': '.mjs' }"]],
      output: 'main.mjs',
    },
    parts: {
      changes: [
        [
          "platform: 'node'",
          "platform: 'node', format: 'esm', splitting: true, chunkNames: 'parts/[name]', outExtension: { '.js': '.mjs' }",
        ],
      ],
      output: 'main.mjs',
      folder: 'parts',
    },
  },
  Rollup: {
    version: versions.bundlers.rollup,
    file: 'rollup.config.mjs',
    command: ['rollup', '-c'],
    output: 'main.mjs',
    stumbles: /Expected ';', '\}' or <eof> \(Note that you need @rollup\/plugin-json to import JSON files\)/,
    outside: [["input: 'main.mjs',", "input: 'main.mjs', external: [/^@companion/],"]],
    other: { changes: [["format: 'esm', entryFileNames: '[name].mjs'", "format: 'cjs'"]], output: 'main.js' },
    parts: {
      changes: [
        ["entryFileNames: '[name].mjs'", "entryFileNames: '[name].mjs', chunkFileNames: 'parts/[name].mjs'"],
      ],
      output: 'main.mjs',
      folder: 'parts',
    },
  },
  Rolldown: {
    version: versions.bundlers.rolldown,
    file: 'rolldown.config.mjs',
    command: ['rolldown', '-c'],
    output: 'main.mjs',
    stumbles: /Could not load .*companion-segment\.[\w-]+\.node/,
    outside: [["input: 'main.mjs',", "input: 'main.mjs', external: [/^@companion/],"]],
    other: { changes: [["format: 'esm', entryFileNames: '[name].mjs'", "format: 'cjs'"]], output: 'main.js' },
    parts: {
      changes: [
        ["entryFileNames: '[name].mjs'", "entryFileNames: '[name].mjs', chunkFileNames: 'parts/[name].mjs'"],
      ],
      output: 'main.mjs',
      folder: 'parts',
    },
  },
  Vite: {
    version: versions.bundlers.vite,
    file: 'vite.config.mjs',
    command: ['vite', 'build'],
    output: 'main.mjs',
    stumbles: /Could not load .*companion-segment\.[\w-]+\.node/,
    // A server that is one file, as for a function or a container without node_modules.
    naked: [['plugins:', 'ssr: { noExternal: true }, plugins:']],
    outside: [],
    other: {
      changes: [
        [
          "outDir: 'build'",
          "outDir: 'build', rollupOptions: { output: { format: 'cjs', entryFileNames: '[name].cjs' } }",
        ],
      ],
      output: 'main.cjs',
    },
    parts: { changes: [['build: {', 'build: { minify: true,']], output: 'main.mjs', folder: 'assets' },
  },
  webpack: {
    version: versions.bundlers.webpack,
    file: 'webpack.config.mjs',
    command: ['webpack'],
    output: 'main.js',
    stumbles: /Module parse failed: Unexpected character/,
    outside: [
      [
        "target: 'node',",
        "target: 'node', externals: { '@companion/segment': 'commonjs @companion/segment' },",
      ],
    ],
    other: {
      changes: [
        [
          'output: {',
          "experiments: { outputModule: true }, output: { module: true, filename: '[name].mjs', chunkFormat: 'module',",
        ],
      ],
      output: 'main.mjs',
    },
    parts: {
      changes: [['output: {', "output: { chunkFilename: 'parts/[id].js',"]],
      output: 'main.js',
      folder: 'parts',
    },
  },
  Rspack: {
    version: versions.bundlers['@rspack/core'],
    file: 'rspack.config.mjs',
    command: ['rspack', 'build'],
    output: 'main.js',
    stumbles: /Module parse failed|JavaScript parse error|Unexpected character/,
    outside: [
      [
        "target: 'node',",
        "target: 'node', externals: { '@companion/segment': 'commonjs @companion/segment' },",
      ],
    ],
    other: {
      changes: [['output: {', "output: { module: true, filename: '[name].mjs', chunkFormat: 'module',"]],
      output: 'main.mjs',
    },
    parts: {
      changes: [['output: {', "output: { chunkFilename: 'parts/[id].js',"]],
      output: 'main.js',
      // It has what is outside in the first file.
      folder: '.',
    },
  },
};

export const cases = Object.entries(BUNDLERS).flatMap(([tool, bundler]) =>
  casesOf(bundler).map((one) => ({ tool, version: bundler.version, ...one })),
);

function casesOf({ file, command, output, stumbles, naked = [], outside, other, parts }) {
  const files = (changes, source = APPLICATION) => ({ 'main.mjs': source, [file]: snippet(file, changes) });
  const without = /** @type {Change} */ ([PLUGIN, '']);
  return [
    {
      mode: 'as it is: stumbles over the addon',
      isShort: true,
      run: () => expectFailure(command, files([...naked, without]), stumbles),
    },
    {
      mode: 'packages left outside by its own options',
      run: async () => expectWithPackage(await built(command, files([...outside, without])), output),
    },
    {
      mode: "plugin, 'external'",
      isShort: true,
      run: async () => expectWithPackage(await built(command, files([...naked, EXTERNAL])), output),
    },
    {
      mode: "plugin, 'copy'",
      isShort: true,
      run: async () => expectSelfContained(await built(command, files([])), output),
    },
    {
      mode: "plugin, 'copy', the other kind of modules",
      run: async () => expectSelfContained(await built(command, files(other.changes)), other.output),
    },
    {
      mode: "plugin, 'copy', several files",
      run: async () => {
        const path = await built(command, files(parts.changes, LATE_APPLICATION));
        const { file: addon } = await addonHere();
        assert.ok(
          (await readdir(join(path, parts.folder))).includes(addon),
          'the addon is beside the file that loads it',
        );
        await expectSelfContained(path, parts.output);
      },
    },
    {
      mode: "plugin, 'copy', the addon is forgotten: the error says so",
      run: async () => {
        await expectForgotten(await built(command, files([])), output);
        await expectForgotten(await built(command, files(other.changes)), other.output);
      },
    },
    {
      mode: "plugin, 'copy', a platform that is not installed",
      run: async () => {
        const change = /** @type {Change} */ ([
          "mode: 'copy'",
          "mode: 'copy', platforms: ['win32-arm64-msvc']",
        ]);
        const said =
          /@companion\/segment-win32-arm64-msvc is not installed\. Run: npm install --no-save --force @companion\/segment-win32-arm64-msvc@\d/;
        await expectFailure(command, files([change]), said);
      },
    },
  ];
}
