/** On each platform that can be reached from here: installs the package from the registry and runs the smoke test. */
import { PLATFORMS } from '../../addons/platforms.mjs';
import { installed } from '../installers.mjs';
import { smoke } from '../smoke/run.mjs';
import { nodeVersions, runtimeFor, UNDER } from './runtimes.mjs';

/**
 * @param {string} url of the registry
 * @param {(row: import('./report.mjs').Row) => void} tell
 */
export async function checkPlatforms(url, tell) {
  for (const platform of Object.keys(UNDER)) {
    const { os, cpu, libc } = PLATFORMS[platform].npm;
    const options = [`--os=${os}`, `--cpu=${cpu}`, ...(libc === undefined ? [] : [`--libc=${libc}`])];
    for (const version of nodeVersions(platform)) {
      const started = performance.now();
      const { directory, code, output, remove } = await installed('npm', url, { options });
      const steps =
        code === 0
          ? await smoke(directory, runtimeFor(platform, version)).catch((error) => [
              { step: 'start', problem: error.message },
            ])
          : [{ step: 'install', problem: output }];
      remove();
      tell({ part: 'platforms', what: `${platform}, Node ${version}, ${UNDER[platform]}`, ...summary(steps, started) });
    }
  }
}

/** Steps as one row. */
export function summary(steps, started) {
  const failed = steps.filter(({ problem }) => problem !== undefined);
  return {
    passed: failed.length === 0,
    detail: `${steps.length - failed.length} of ${steps.length} steps`,
    problem: failed.map(({ step, problem }) => `${step}: ${problem}`).join('\n'),
    seconds: (performance.now() - started) / 1_000,
  };
}
