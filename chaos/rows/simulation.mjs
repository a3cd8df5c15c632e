// Whole clients in a simulated world that fails by a seed: network, disk, power, clocks, panics, several processes (Rust).
import { runEngineTest } from '../engine-test.mjs';

export const title = 'simulation of everything (Rust)';
export const longOnly = true;

const SEEDS = 200_000;

export function run(/** @type {import('../scene.mjs').Scene} */ scene) {
  return runEngineTest(scene, {
    row: 'simulation',
    filter: 'simulation',
    environment: { SIMULATION_SEEDS: String(SEEDS) },
    least: { sequences: SEEDS },
  });
}
