/** Paths that Windows makes something special of. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { messageIdsOf, startSegment } from '../support/clients.mjs';
import { endBy } from '../support/programs.mjs';
import { leftIn, makeSpool, recoverAll, runSpooling, segmentFiles, untilEmpty } from '../support/spools.mjs';

const COUNT = 5;
const killed = ({ track }) => {
  for (let number = 0; number < 5; number += 1) track(`m${number}`);
  process.kill(process.pid, 'SIGKILL');
};
const expected = Array.from({ length: COUNT }, (_, number) => `m${number}`);

for (const [what, below] of [
  [
    'longer than 260 characters',
    join(...Array.from({ length: 6 }, () => 'a-rather-long-name-of-a-directory-in-the-path')),
  ],
  ['with blanks and letters of other languages', join('Programme und Daten', 'Größe – 顧客')],
  ['with slashes instead of backslashes', 'some/where'],
]) {
  test(`a spool under a path ${what}`, async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    const directory = `${spool.directory}/${below}`;
    const settings = { spool: { directory } };
    const { signal } = await runSpooling(t, spool, segment, killed, { settings });
    assert.equal(signal, endBy('SIGKILL').signal);
    assert.ok(readdirSync(directory).length > 0, 'it is there');
    await recoverAll(spool, segment, COUNT, settings);
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), expected);
  });
}

test('files that something has marked as read-only are delivered and removed', async (t) => {
  const segment = await startSegment(t);
  const spool = makeSpool(t);
  await runSpooling(t, spool, segment, killed);
  for (const { path } of segmentFiles(spool.directory)) chmodSync(path, 0o444);
  await recoverAll(spool, segment, COUNT);
  assert.deepEqual(messageIdsOf(segment.events).toSorted(), expected);
  await untilEmpty(spool);
});

test('what a killed process leaves empty is tidied up, however often', async (t) => {
  const segment = await startSegment(t);
  const spool = makeSpool(t);
  mkdirSync(spool.directory, { recursive: true });
  for (let round = 0; round < 5; round += 1) {
    await runSpooling(t, spool, segment, () => process.kill(process.pid, 'SIGKILL'));
  }
  await recoverAll(spool, segment, 0);
  await untilEmpty(spool);
  assert.deepEqual(leftIn(spool), []);
});
