// The spool against a model of it: random operations, crashes, errors of the disk and damage (Rust).
import { runEngineTest } from '../engine-test.mjs';

export const title = 'model with crashes (Rust)';
export const longOnly = true;

const SEQUENCES = 50_000;

export function run(/** @type {import('../scene.mjs').Scene} */ scene) {
  const environment = { SPOOL_SEQUENCES: String(SEQUENCES) };
  return runEngineTest(scene, {
    row: 'model',
    filter: 'spool_model',
    environment,
    least: { sequences: SEQUENCES },
  });
}
