// What looks for the files that a program needs: ncc, and nft, which Vercel and Next.js use.
import assert from 'node:assert/strict';
import { cp, readdir, realpath } from 'node:fs/promises';
import { join, relative } from 'node:path';

import { insideOnly } from '../../test-nest/project.mjs';
import { build, built } from '../building.mjs';
import { addonHere, elsewhere, project, versions } from '../projects.mjs';
import { APPLICATION, expectEvent, expectSelfContained } from '../running.mjs';

/** Prints the files that a program needs. */
const TRACE = `
import { nodeFileTrace } from '@vercel/nft';

const { fileList } = await nodeFileTrace(['main.mjs'], { base: '..' });
console.log(JSON.stringify(Array.from(fileList)));
`;

export const cases = [
  {
    tool: 'ncc',
    version: versions.bundlers['@vercel/ncc'],
    mode: 'as it is',
    run: async () => {
      const path = await built(['ncc', 'build', 'main.mjs', '-o', 'build'], { 'main.mjs': APPLICATION });
      const { file } = await addonHere();
      assert.deepEqual((await readdir(path)).toSorted(), [file, 'index.mjs']);
      await expectSelfContained(path, 'index.mjs');
    },
  },
  {
    tool: 'nft',
    version: versions.bundlers['@vercel/nft'],
    mode: 'as it is',
    isShort: true,
    run: async () => {
      const { folder, code, output } = await build(['node', 'trace.mjs'], {
        'main.mjs': APPLICATION,
        'trace.mjs': TRACE,
      });
      assert.equal(code, 0, output);
      const files = JSON.parse(output);
      const { name, file } = await addonHere();
      assert.ok(files.includes(join('node_modules', name, file)), `the addon is missing in ${output}`);
      const cwd = await elsewhere();
      const base = await project('bundlers');
      for (const path of files) await cp(join(base, path), join(cwd, path));
      const main = join(cwd, relative(base, await realpath(folder)), 'main.mjs');
      await expectEvent(process.execPath, [main], { cwd, env: insideOnly(cwd) });
    },
  },
];
