// The files of the project: what git knows, and what it is about to know.
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { ROOT, run } from './command.mjs';

/** @typedef {{ path: string, lines: string[] }} TextFile `path` from the root, with slashes */

/**
 * @param {(path: string) => boolean} wanted
 * @returns {Promise<TextFile[]>}
 */
export async function textFiles(wanted) {
  const listed = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard']);
  const files = [];
  for (const path of new Set(listed.split('\0').filter((name) => name !== '' && wanted(name)))) {
    const text = await textOf(join(ROOT, path));
    if (text !== undefined) files.push({ path, lines: text.split('\n') });
  }
  return files;
}

/** Undefined for what is no text, no file, or deleted and not committed yet. */
async function textOf(/** @type {string} */ path) {
  const isFile = await stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
  const bytes = isFile ? await readFile(path) : undefined;
  return bytes === undefined || bytes.includes(0) ? undefined : bytes.toString('utf8');
}

/**
 * Throws when `find` finds something in a line, with every place.
 *
 * @param {TextFile[]} files
 * @param {(line: string, file: TextFile) => string | undefined} find what is wrong with the line
 */
export function expectNothing(files, find) {
  const problems = files.flatMap((file) =>
    file.lines.flatMap((line, index) => {
      const problem = find(line, file);
      return problem === undefined ? [] : [`${file.path}:${index + 1}: ${problem}`];
    }),
  );
  if (problems.length > 0) throw new Error(problems.join('\n'));
}
