/**
 * What a check of the release has found, as it comes and as tables.
 *
 * @typedef {object} Row
 * @property {string} part
 * @property {string} what
 * @property {boolean} passed
 * @property {string} detail
 * @property {string} [problem]
 * @property {number} seconds
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../setup/steps.mjs';

/** The rows of a run. */
export class Report {
  /** @type {Row[]} */
  rows = [];

  /** @param {Row} row */
  tell = (row) => {
    this.rows.push(row);
    const seconds = `${row.seconds.toFixed(1)} s`;
    console.log(`${row.passed ? 'ok    ' : 'failed'}  ${row.part}: ${row.what}  ${row.detail}  ${seconds}`);
    if (!row.passed && row.problem) console.log(row.problem.trimEnd().replaceAll(/^/gm, '        '));
  };

  /** Runs a check that throws what is wrong, or returns a detail. */
  async check(part, what, run) {
    const started = performance.now();
    const result = await Promise.resolve()
      .then(run)
      .then(
        (detail) => ({ passed: true, detail: detail ?? '' }),
        (error) => ({ passed: false, detail: '', problem: error.message }),
      );
    this.tell({ part, what, ...result, seconds: (performance.now() - started) / 1_000 });
  }

  get passed() {
    return this.rows.every(({ passed }) => passed);
  }

  /** Keeps the rows for the table of the README. */
  save() {
    const rows = this.rows.map(({ part, what, passed, detail }) => ({ part, what, passed, detail }));
    writeFileSync(join(ROOT, 'target', 'release', 'check.json'), `${JSON.stringify(rows, undefined, 2)}\n`);
  }
}
