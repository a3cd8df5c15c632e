// Node's single executable applications, with the addon beside the executable.
import { cp } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from '../../test-nest/program.mjs';
import { addonHere, application, elsewhere } from '../projects.mjs';
import { APPLICATION, expectEvent } from '../running.mjs';
import { snippet } from '../snippets.mjs';

export const cases = [
  {
    tool: 'Node, single executable',
    version: process.versions.node,
    mode: "esbuild with the plugin, 'copy'",
    run: async () => {
      const folder = await application('bundlers', {
        'main.mjs': APPLICATION,
        'esbuild.mjs': snippet('esbuild.mjs'),
        'sea-config.json': snippet('sea-config.json', [['// sea-config.json\n', '']]),
        'sea.sh': snippet('sea.sh'),
      });
      await run('sh', ['-e', 'sea.sh'], { cwd: folder });
      const cwd = await elsewhere();
      const { file } = await addonHere();
      for (const name of ['app', file]) await cp(join(folder, 'build', name), join(cwd, name));
      await expectEvent(join(cwd, 'app'), [], { cwd });
    },
  },
];
