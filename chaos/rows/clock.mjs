// A wall clock that jumps. No test may move the clock of the machine, so the engine gets one of its own (Rust).
import { runEngineTest } from '../engine-test.mjs';

export const title = 'clock jumps (Rust)';
export const longOnly = true;

export function run(/** @type {import('../scene.mjs').Scene} */ scene) {
  return runEngineTest(scene, { row: 'clock', filter: 'spool_clock' });
}
