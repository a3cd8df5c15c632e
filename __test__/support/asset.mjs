/** The assets of Lambda, the Node lines that they run on, and what functions say in their log. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { bundle } from '../../infra/dist/bundle.js';
import { nodeOf } from '../../scripts/test-nest/node-lines.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const { node: BINARIES } = JSON.parse(
  readFileSync(join(ROOT, '__test__', 'nestjs', 'versions.json'), 'utf8'),
);

/** Runs a function's module in a folder of its own; needs nothing else. */
export const RUNTIME = fileURLToPath(new URL('moto-runtime.mjs', import.meta.url));
/** nodejs20.x, nodejs22.x and nodejs24.x. */
export const NODE_LINES = ['20', '22', '24'];
/** By Lambda's names: the file, and `e_machine` of its ELF header. */
export const ADDONS = {
  x86_64: { name: 'companion-segment.linux-x64-gnu.node', machine: 0x3e },
  arm64: { name: 'companion-segment.linux-arm64-gnu.node', machine: 0xb7 },
};

/** The one that runs on this machine. */
export const HERE = process.arch === 'arm64' ? 'arm64' : 'x86_64';

/** Packs one of the CDK app's functions. Returns the folder of the asset. */
export async function bundled(entry, architecture) {
  const outdir = join(ROOT, 'target', 'lambda-asset', `${entry}-${architecture}`);
  rmSync(outdir, { recursive: true, force: true });
  await bundle({ entry: join(ROOT, 'infra', 'lambda', `${entry}.ts`), architecture, outdir });
  return outdir;
}

/** A folder outside of the project, which is gone with the test. */
export function emptyFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), 'lambda-asset-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What Lambda has beside a function, and has in `NODE_PATH`: the SDK, and nothing else. */
export function folderWithSdk(t) {
  const folder = emptyFolder(t);
  symlinkSync(join(ROOT, 'node_modules', '@aws-sdk'), join(folder, '@aws-sdk'));
  return folder;
}

/** A binary of this line, from npm if it is not the line that runs the test. */
export const nodeOfLine = (line) => nodeOf(line, BINARIES);

/** Each line of the log is an object. */
export const linesOf = (log) =>
  log
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

/** CloudWatch's embedded metric format: the values by name and where they go, each time that they were published. */
export function metricsIn(lines) {
  return lines.flatMap((line) =>
    (line['_aws']?.CloudWatchMetrics ?? []).map(({ Namespace, Dimensions, Metrics }) => ({
      namespace: Namespace,
      dimensions: Dimensions.map((names) => names.map((name) => [name, line[name]])),
      values: Object.fromEntries(Metrics.map(({ Name }) => [Name, line[Name]])),
    })),
  );
}
