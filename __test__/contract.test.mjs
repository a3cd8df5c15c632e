/**
 * Code written for `@segment/analytics-node` keeps working: one source for both packages, real HTTP. This package's half
 * runs here, theirs by `npm run test:peer`.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';

import { BEHAVIOURS, DIFFERENCES } from './contract/behaviours.mjs';
import { OURS } from './contract/libraries.mjs';
import { rows } from './contract/table.mjs';
import { testContract } from './contract/tests.mjs';
import { RECORD, currentRun } from './peer/record.mjs';

testContract(OURS);

describe('the contract', () => {
  test('has one case for each behaviour', () => {
    const titles = BEHAVIOURS.map(({ title }) => title);
    assert.equal(new Set(titles).size, titles.length);
    assert.ok(titles.length >= 130, `${titles.length} cases`);
  });

  test('is what the last run of `npm run test:peer` saw analytics-node do', async () => {
    assert.deepEqual(
      await currentRun(),
      JSON.parse(await readFile(RECORD, 'utf8')),
      'run `npm run test:peer`',
    );
  });

  const page = readFile(new URL('../docs/MIGRATING.md', import.meta.url), 'utf8');

  test('MIGRATING.md has every differing row as the cases have it', async () => {
    // Prettier pads cells; what they say is compared.
    const plain = (line) => line.replaceAll(/ +/g, ' ');
    const lines = new Set((await page).split('\n').map(plain));
    const missing = rows.map((cells) => `| ${cells.join(' | ')} |`).filter((row) => !lines.has(plain(row)));
    assert.deepEqual(missing, []);
    assert.ok(DIFFERENCES.length > 0);
  });

  test('MIGRATING.md names every setting of analytics-node', async () => {
    const declared = await readFile(
      new URL('../node_modules/@segment/analytics-node/dist/types/app/settings.d.ts', import.meta.url),
      'utf8',
    );
    const [, body] = declared.match(/interface AnalyticsSettings \{(.*?)\n\}/s);
    const names = [...body.matchAll(/^ {4}(\w+)\??:/gm)].map(([, name]) => name);
    assert.ok(names.length >= 13, names.join(', '));
    const text = await page;
    assert.deepEqual(
      names.filter((name) => !text.includes(`| \`${name}\``)),
      [],
    );
  });
});
