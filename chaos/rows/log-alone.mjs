// The log of the spool alone, without Node: a Rust process that only writes, killed mid-write.
import { runEngineTest } from '../engine-test.mjs';

export const title = 'SIGKILL of the log alone (Rust)';
export const longOnly = true;

const KILLS = 1_000;

export function run(/** @type {import('../scene.mjs').Scene} */ scene) {
  const environment = { SPOOL_KILLS: String(KILLS) };
  return runEngineTest(scene, {
    row: 'log-alone',
    filter: 'spool_kill',
    environment,
    least: { kills: KILLS },
  });
}
