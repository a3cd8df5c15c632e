/**
 * Makes a checkout ready for all that has to do with AWS: Python with moto (an AWS to test against) and zig, the addons
 * of Lambda's two architectures, the CDK app. `npm test` and `npm run bench` call it after `setup.mjs`.
 *
 *   --addons   only the addons (npm run build:lambda)
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { ADDON_SOURCES, ROOT, fail, filesIn, isFresh, replace, run, step } from './setup/steps.mjs';

const PYTHON = join('target', 'python');
const REQUIREMENTS = join('scripts', 'setup', 'requirements.txt');
const INSTALLED = join(PYTHON, 'requirements.txt');

/** Lambda's Amazon Linux 2023 has glibc 2.34; 2.17 is what Rust itself asks for, and serves every Linux in use. */
const GLIBC = '2.17';
const TARGETS = { x64: 'x86_64-unknown-linux-gnu', arm64: 'aarch64-unknown-linux-gnu' };

installPython();
for (const [architecture, target] of Object.entries(TARGETS)) buildAddon(architecture, target);
if (!process.argv.includes('--addons')) buildInfra();

function installPython() {
  if (existsSync(INSTALLED) && readFileSync(INSTALLED).equals(readFileSync(REQUIREMENTS))) return;
  const isThere = spawnSync('python3', ['-c', 'import ensurepip, venv']).status === 0;
  if (!isThere) fail('Python 3 with venv was not found. On Debian: apt-get install python3 python3-venv');
  step('Installing zig and moto');
  rmSync(PYTHON, { recursive: true, force: true });
  run('python3', ['-m', 'venv', PYTHON]);
  const quiet = ['--quiet', '--disable-pip-version-check'];
  run(join(PYTHON, 'bin', 'pip'), ['install', ...quiet, '--requirement', REQUIREMENTS]);
  copyFileSync(REQUIREMENTS, INSTALLED);
}

/** With zig as the linker, which has the symbols of every glibc. */
function buildAddon(architecture, target) {
  const name = `companion-segment.linux-${architecture}-gnu.node`;
  const built = join('npm', `linux-${architecture}-gnu`, name);
  if (isFresh(built, ADDON_SOURCES)) return;
  requireTarget(target);
  step(`Building the engine for Lambda on ${architecture} (a minute or two the first time)`);
  const out = join('target', 'lambda', architecture);
  mkdirSync(out, { recursive: true });
  const names = ['--js', 'index.js', '--dts', 'index.d.ts'];
  const options = ['--platform', '--release', '--cross-compile', '--target', `${target}.${GLIBC}`];
  process.env.PATH = join(ROOT, PYTHON, 'bin') + delimiter + process.env.PATH;
  run('npx', ['napi', 'build', ...options, '--output-dir', out, ...names, '--', '--locked']);
  replace(join(out, name), built);
}

function requireTarget(target) {
  const libraries = spawnSync('rustc', ['--print', 'target-libdir', '--target', target], {
    encoding: 'utf8',
  });
  if (libraries.status === 0 && existsSync(libraries.stdout.trim())) return;
  step(`Adding ${target} to Rust`);
  run('rustup', ['target', 'add', target]);
}

function buildInfra() {
  const settings = ['package.json', 'tsconfig.json'].map((name) => join('infra', name));
  const sources = ['dist/index.js', ...settings, ...filesIn(join('infra', 'src'))];
  if (isFresh(join('infra', 'dist', 'app.js'), sources)) return;
  step('Compiling the CDK app');
  rmSync(join('infra', 'dist'), { recursive: true, force: true });
  run('npx', ['tsc', '-p', 'infra']);
}
