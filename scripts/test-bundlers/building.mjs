// Bundles as a stranger does: a configuration and an application in a project, and the tool's own command.
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { outcome } from '../test-nest/program.mjs';
import { application, project } from './projects.mjs';

/** Where configurations write to. */
export const BUILD = 'build';

/**
 * @param {string[]} command a tool of the project and its arguments; `node` is this Node
 * @param {Record<string, string>} files path to text
 * @returns {Promise<{ folder: string, built: string, code: number | null, output: string }>}
 */
export async function build(command, files, name = 'bundlers') {
  const folder = await application(name, files);
  const [tool, ...args] = command;
  const program =
    tool === 'node' ? process.execPath : join(await project(name), 'node_modules', '.bin', tool);
  const { code, output } = await outcome(program, args, { cwd: folder, env: { NO_COLOR: '1' } });
  return { folder, built: join(folder, BUILD), code, output };
}

/** The same for what has to go well; resolves with the folder that was built. */
export async function built(command, files, name) {
  const { code, output, built: path } = await build(command, files, name);
  assert.equal(code, 0, output);
  return path;
}

/** The same for what has to fail with this message. */
export async function expectFailure(command, files, message, name) {
  const { code, output } = await build(command, files, name);
  assert.notEqual(code, 0, `It was built.\n${output}`);
  assert.match(output, message);
}
