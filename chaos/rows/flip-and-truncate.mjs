// Every single byte of a spool flipped, every length it could be cut to (Rust).
import { runEngineTest } from '../engine-test.mjs';

export const title = 'every byte flipped, every truncation (Rust)';
export const longOnly = true;

export function run(/** @type {import('../scene.mjs').Scene} */ scene) {
  return runEngineTest(scene, {
    row: 'flip-and-truncate',
    filter: 'spool_damage',
    environment: { SPOOL_DAMAGE: 'all' },
    least: { flips: 1, truncations: 1 },
  });
}
