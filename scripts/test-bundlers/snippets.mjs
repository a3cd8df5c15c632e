// What docs/BUNDLERS.md says to write, so that what is tested is what it says.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const PAGE = await readFile(new URL('../../docs/BUNDLERS.md', import.meta.url), 'utf8');

/**
 * The block of the page that begins with the name of this file.
 *
 * @param {string} file
 * @param {[from: string | RegExp, to: string][]} [changes] each has to find something
 */
export function snippet(file, changes = []) {
  const blocks = Array.from(
    PAGE.matchAll(/^```\w+\n(?<text>.*?)^```$/gms),
    ({ groups }) => groups?.text ?? '',
  );
  const found = blocks.filter((text) => /^(?:\/\/|#) (?<name>\S+)/.exec(text)?.groups?.name === file);
  assert.equal(found.length, 1, `docs/BUNDLERS.md has ${found.length} blocks of ${file}`);
  return changes.reduce((text, [from, to]) => {
    assert.notEqual(text.replace(from, to), text, `${file} has no ${from}`);
    return text.replace(from, to);
  }, found[0]);
}
