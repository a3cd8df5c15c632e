// Bundles the function of one SDK as it is deployed: a file, and the addon where there is one.
//   node bench/lambda/bundle.mjs <sdk> <folder>
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [sdk, folder] = process.argv.slice(2);
const entry = fileURLToPath(new URL(`${sdk}.mjs`, import.meta.url));
const infra = new URL('../../infra/', import.meta.url);

if (sdk === 'companion') {
  const { bundle } = await import(new URL('dist/bundle.js', infra).href);
  await bundle({ entry, architecture: process.arch === 'x64' ? 'x86_64' : 'arm64', outdir: folder });
} else {
  const { build } = createRequire(new URL('package.json', infra))('esbuild');
  const outfile = join(folder, 'index.js');
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
  });
}
