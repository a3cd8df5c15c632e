/** The fault harness: every row in its short version, and that each of its verdicts can be a bad one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Deliveries } from '../chaos/deliveries.mjs';
import { judgeOutput } from '../chaos/engine-test.mjs';
import { eventOf } from '../chaos/events.mjs';
import { account, verdict, wholeness } from '../chaos/judge.mjs';
import { Notes } from '../chaos/notes.mjs';
import { tableOf, writeDocument } from '../chaos/report.mjs';
import { ROWS, loadRow } from '../chaos/rows.mjs';
import { Scene, segmentsIn } from '../chaos/scene.mjs';

const RUN = fileURLToPath(new URL('../chaos/run.mjs', import.meta.url));
const DOCUMENT = fileURLToPath(new URL('../docs/RELIABILITY.md', import.meta.url));
/** Decisions are the same in each run; what they meet is not. */
const SEED = 1;

async function runShort(t, row, options) {
  const scene = new Scene({ row, seed: SEED, short: true });
  t.after(() => scene.close());
  const { run } = await loadRow(row);
  const result = await run(scene, options);
  for (const line of [...result.facts, ...result.problems]) t.diagnostic(line);
  return result;
}

const rows = await Promise.all(ROWS.map(async (name) => ({ name, ...(await loadRow(name)) })));

describe('every row, in its short version', { concurrency: 2 }, () => {
  for (const { name, title, longOnly } of rows) {
    if (longOnly) continue;
    test(`${name}: ${title}`, async (t) => {
      const { status, problems } = await runShort(t, name);
      assert.notEqual(status, 'failed', problems.join('\n'));
    });
  }
});

describe('a row fails', { concurrency: 2 }, () => {
  for (const [what, options] of [
    ['when events wait in memory instead of on disk', { inMemory: true }],
    [
      'when segments disappear',
      {
        beforeDrain: (directory) => {
          for (const name of segmentsIn(directory)) rmSync(join(directory, name));
        },
      },
    ],
    [
      'when segments are cut off',
      {
        beforeDrain: (directory) => {
          for (const name of segmentsIn(directory)) truncateSync(join(directory, name), 100);
        },
      },
    ],
  ]) {
    test(what, async (t) => {
      const { status, problems, figures } = await runShort(t, 'sigkill-spool', options);
      assert.equal(status, 'failed');
      assert.ok(problems.includes('broken: no accepted event was lost'));
      assert.ok(figures.lost > 0);
    });
  }

  test('when what was to be put to the test did not happen', () => {
    const result = verdict({ promises: { kept: true }, proofs: { 'a kill': false }, examples: ['lost 1:0'] });
    assert.deepEqual(result, { status: 'failed', problems: ['did not run: a kill', 'lost 1:0'] });
  });
});

describe('the judge', () => {
  const arrived = (sequence, more) => ({ type: 'track', messageId: 'm', ...eventOf(1, sequence), ...more });

  /** One producer that noted `calls` (`+` accepted, `-` refused), and what arrived. */
  function judge(calls, events, killed = false) {
    const deliveries = new Deliveries();
    for (const event of events) deliveries.add(event);
    const judged = account([{ number: 1, notes: new Notes(Buffer.from(calls)), killed }], deliveries);
    const broken = Object.entries(wholeness(judged)).flatMap(([promise, kept]) => (kept ? [] : [promise]));
    return { ...judged, broken };
  }

  for (const [what, judged, expected, broken] of [
    ['nothing to say', judge('++', [arrived(0), arrived(1)]), { issued: 2, accepted: 2, delivered: 2 }, 0],
    ['a repeat', judge('+', [arrived(0), arrived(0)]), { delivered: 1, duplicates: 1 }, 0],
    [
      'a call that a kill cut short',
      judge('+', [arrived(0), arrived(1)], true),
      { issued: 2, spurious: 0 },
      0,
    ],
    ['a loss', judge('+++', [arrived(0), arrived(2)]), { lost: 1, examples: ['lost 1:1'] }, 1],
    ['what was refused', judge('-', [arrived(0)]), { spurious: 1, examples: ['spurious 1:0'] }, 1],
    ['what was never tracked', judge('+', [arrived(0), arrived(1)]), { issued: 1, spurious: 1 }, 1],
    [
      'what nobody tracked',
      judge('', [{ ...arrived(0), ...eventOf(2, 0), userId: 'user-2' }]),
      { spurious: 1 },
      1,
    ],
    ['a changed payload', judge('+', [arrived(0, { userId: 'u' })]), { corrupted: 1, lost: 1 }, 2],
    ['no payload at all', judge('', [{ type: 'track' }]), { corrupted: 1 }, 1],
    ['another messageId', judge('+', [arrived(0), arrived(0, { messageId: 'n' })]), { renamed: 1 }, 1],
  ]) {
    test(`sees ${what}`, () => {
      for (const [name, value] of Object.entries(expected)) assert.deepEqual(judged[name], value, name);
      assert.equal(judged.broken.length, broken, judged.broken.join());
    });
  }
});

describe('a row in Rust', () => {
  const row = { row: 'simulation', filter: 'simulation', least: { sequences: 10 } };
  const judge = (figures, code = 0) =>
    judgeOutput(row, { code, stdout: `running 1 test\nchaos: ${JSON.stringify(figures)}\nok\n`, stderr: '' });

  test('passes with figures that are enough', () => {
    const { status, figures, facts } = judge({ row: 'simulation', sequences: 10, lost: 0, seconds: 1.5 });
    assert.deepEqual([status, figures.seconds, facts], ['passed', 1.5, ['sequences 10']]);
  });

  for (const [what, result] of [
    ['when its test fails', judge({ row: 'simulation', sequences: 10 }, 101)],
    ['when there is no such test', judgeOutput(row, { code: 0, stdout: 'running 0 tests', stderr: '' })],
    ['when it did less', judge({ row: 'simulation', sequences: 9 })],
    ['when it lost something', judge({ row: 'simulation', sequences: 10, lost: 1 })],
    ['when the figures are those of another', judge({ row: 'clock', sequences: 10 })],
  ]) {
    test(`fails ${what}`, () => {
      assert.equal(result.status, 'failed');
      assert.ok(result.problems.length > 0);
    });
  }
});

describe('the command', { concurrency: 2 }, () => {
  async function run(t, args) {
    const child = spawn(process.execPath, [RUN, ...args]);
    t.after(() => child.kill('SIGKILL'));
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ]);
    return { stdout, stderr, code };
  }

  for (const args of [
    ['--only', 'nothing'],
    ['--seed', '-1'],
    ['--seed', '1.5'],
    ['--write', '--short'],
    ['--write', '--only', 'clock'],
    ['--unknown'],
    ['exits'],
  ]) {
    test(`ends with 2 for ${args.join(' ')}`, async (t) => {
      const { code, stdout, stderr } = await run(t, args);
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, /Usage: npm run chaos/);
    });
  }

  test('has a table and the seed, and ends with 0 when nothing failed', async (t) => {
    const { code, stdout, stderr } = await run(t, ['--short', '--only', 'freeze', '--seed', '7']);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^seed 7$/m);
    assert.match(stdout, /^\| freeze +\| (?:passed|not run) +\|/m);
  });
});

test('results are written between the markers of the document, and nowhere else', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'companion-segment-chaos-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const copy = join(directory, 'RELIABILITY.md');
  copyFileSync(DOCUMENT, copy);
  const figures = { issued: 1_234, lost: 0, seconds: 1.26, peakMemory: 64 * 2 ** 20 };
  const table = tableOf([{ row: 'exits', title: '', status: 'passed', problems: [], facts: [], figures }]);
  assert.match(table, /^\| exits \| passed \| +1,234 \| .* +64 \| +1\.3 \|$/m);
  const outside = (path) =>
    readFileSync(path, 'utf8').replace(/(?<=<!-- chaos:[^>]*-->).*(?=<!-- \/chaos -->)/s, '');
  for (const round of ['first', 'second']) {
    writeDocument(`${round}\n\n${table}`, copy);
    const written = readFileSync(copy, 'utf8');
    assert.ok(written.includes(`${round}\n\n${table}`));
    assert.equal(written.split('| exits |').length, 2);
    assert.equal(outside(copy), outside(DOCUMENT));
  }
});
