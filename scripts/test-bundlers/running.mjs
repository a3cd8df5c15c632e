// Runs what a bundler has made, and sees what arrives at Segment.
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { startFakeSegment } from '@companion/segment/testing';

import { outcome } from '../test-nest/program.mjs';
import { insideOnly } from '../test-nest/project.mjs';
import { addonHere, application, elsewhere, moveTo } from './projects.mjs';

/** An application as small as it can be. */
export const APPLICATION = `
import { Analytics } from '@companion/segment';

const analytics = Analytics.fromEnvironment();
analytics.track({ userId: 'u1', event: 'Bundled' });
`;

/** The same, where the package is loaded late: bundlers make a file of its own of that. */
export const LATE_APPLICATION = `
import('@companion/segment').then(({ Analytics }) => {
  Analytics.fromEnvironment().track({ userId: 'u1', event: 'Bundled' });
});
`;

/** Fails unless the program sends exactly one event. */
export async function expectEvent(program, args, { cwd, env = {} }) {
  await expectEvents(async (host) => {
    const { code, output } = await outcome(program, args, { cwd, env: { ...env, ...host } });
    assert.equal(code, 0, output);
    return output;
  });
}

/** Fails unless exactly one event arrives while `run(environment)` goes on. */
export async function expectEvents(run) {
  const segment = await startFakeSegment();
  try {
    const output = await run({ SEGMENT_HOST: segment.url, SEGMENT_WRITE_KEY: 'key-of-a-bundle' });
    const tracked = segment.events.map(({ type, userId, event }) => ({ type, userId, event }));
    assert.deepEqual(tracked, [{ type: 'track', userId: 'u1', event: 'Bundled' }], output);
  } finally {
    await segment.close();
  }
}

/** What was bundled with the package in it runs where there is no package. */
export async function expectSelfContained(built, file) {
  const cwd = await elsewhere();
  await moveTo(cwd, built);
  await expectEvent(process.execPath, [join(cwd, file)], { cwd, env: insideOnly(cwd) });
}

/** What was bundled with the package in it, and moved without its addon, says so. */
export async function expectForgotten(built, file) {
  const cwd = await elsewhere();
  await moveTo(cwd, built);
  const { file: addon, name } = await addonHere();
  await rm(join(cwd, addon));
  const env = { ...insideOnly(cwd), SEGMENT_WRITE_KEY: 'key-of-a-bundle' };
  const { code, output } = await outcome(process.execPath, [join(cwd, file)], { cwd, env });
  assert.notEqual(code, 0, output);
  assert.ok(output.includes(`${name} can't be loaded: Cannot find module './${addon}'`), output);
}

/** What was bundled without the package has nothing of it, and runs where it is installed. */
export async function expectWithPackage(built, file) {
  const bundle = await readFile(join(built, file), 'utf8');
  assert.match(bundle, /['"`]@companion\/segment['"`]/, 'it asks for the package');
  assert.doesNotMatch(bundle, /@companion\/segment-/, 'it has the loader of the package inside');
  const cwd = await application('production');
  await moveTo(cwd, built);
  await expectEvent(process.execPath, [join(cwd, file)], { cwd, env: insideOnly(join(cwd, '..')) });
}
