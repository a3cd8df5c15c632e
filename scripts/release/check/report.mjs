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
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What was found last. Committed: the README's table of platforms is made of it. */
export const LAST_CHECK = fileURLToPath(new URL('../last-check.json', import.meta.url));

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

  /**
   * Keeps what was found, without times. After a run of some parts, what others have found for the same version stays.
   *
   * @param {string} version
   * @param {boolean} isWhole
   */
  save(version, isWhole) {
    const rows = this.rows.map(({ part, what, passed, detail }) => ({ part, what, passed, detail }));
    const before = isWhole ? undefined : lastCheck();
    const isNew = (row) => !rows.some(({ part, what }) => part === row.part && what === row.what);
    const kept = before?.version === version ? before.rows.filter(isNew) : [];
    writeFileSync(LAST_CHECK, `${JSON.stringify({ version, rows: [...kept, ...rows] }, undefined, 2)}\n`);
  }
}

/** What the last run has found. */
export const lastCheck = () =>
  existsSync(LAST_CHECK) ? JSON.parse(readFileSync(LAST_CHECK, 'utf8')) : { version: '', rows: [] };
