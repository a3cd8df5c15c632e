/** Code written for `@segment/analytics-node` keeps working: one source, both packages, real HTTP. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';

import { BEHAVIOURS, DIFFERENCES } from './contract/behaviours.mjs';
import { OURS, THEIRS } from './contract/libraries.mjs';
import { rows } from './contract/table.mjs';

/** A case that hangs has failed. */
const timeout = 30_000;

/** Their callbacks take 300 ms and their retries seconds; most cases do nothing but wait. */
const CONCURRENCY = 16;

function inContract(library, cases, concurrency) {
  describe(library.name, { concurrency }, () => {
    for (const { title, run, differs } of cases) {
      const body = library === THEIRS && differs !== undefined ? differs.run : run;
      test(title, { timeout }, (t) => body(library, t));
    }
  });
}

const alone = BEHAVIOURS.filter((known) => known.alone === true);
const together = BEHAVIOURS.filter((known) => known.alone !== true);
for (const library of [THEIRS, OURS]) {
  inContract(library, together, CONCURRENCY);
  inContract(library, alone, 1);
}

describe('the contract', () => {
  test('has one case for each behaviour', () => {
    const titles = BEHAVIOURS.map(({ title }) => title);
    assert.equal(new Set(titles).size, titles.length);
    assert.ok(titles.length >= 130, `${titles.length} cases`);
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
