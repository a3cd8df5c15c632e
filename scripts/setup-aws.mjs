/**
 * Makes a checkout ready for the tests: Python with moto (an AWS to test against) and zig, the addons of Lambda's two
 * architectures and of Alpine's C library, the CDK app. `npm test` and `npm run bench` call it after `setup.mjs`.
 *
 *   --for test   the command it is for (scripts/setup/prerequisites.mjs)
 *   --addons     only the addons (npm run build:lambda)
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { buildAddons } from './addons/build.mjs';
import { addLlvmTools } from './setup/llvm-tools.mjs';
import { checkPrerequisites } from './setup/prerequisites.mjs';
import { pythonTools } from './setup/python.mjs';
import { filesIn, isFresh, option, run, step } from './setup/steps.mjs';

const command = option('for', 'aws');
checkPrerequisites(command);
if (['test', 'release'].includes(command)) addLlvmTools();
pythonTools();
// Lambda's Amazon Linux 2023 has a newer glibc than these ask for.
const LAMBDA = ['linux-x64-gnu', 'linux-arm64-gnu'];
const isForLambda = process.argv.includes('--addons');
await buildAddons(isForLambda ? LAMBDA : [...LAMBDA, 'linux-x64-musl']);
if (!isForLambda) buildInfra();

function buildInfra() {
  const settings = ['package.json', 'tsconfig.json'].map((name) => join('infra', name));
  const sources = ['dist/index.js', ...settings, ...filesIn(join('infra', 'src'))];
  if (isFresh(join('infra', 'dist', 'app.js'), sources)) return;
  step('Compiling the CDK app');
  rmSync(join('infra', 'dist'), { recursive: true, force: true });
  run('npx', ['tsc', '-p', 'infra']);
}
