/** Code written for `@segment/analytics-node` compiles against this package with nothing but the name changed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const COMPILER = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
const USAGE = await readFile(new URL('types-drop-in/usage.ts', import.meta.url), 'utf8');

const SETTINGS = fileURLToPath(new URL('types-drop-in/tsconfig.json', import.meta.url));

const PEER = '@segment/analytics-node';
/** The declarations that each name has to lead to. */
const DECLARATIONS = {
  [PEER]: join('node_modules', '@segment', 'analytics-node', 'dist', 'types', 'index.d.ts'),
  '@companion/segment': join('dist', 'index.d.ts'),
};
const MODULES = { node16: 'node16', nodenext: 'nodenext', bundler: 'esnext' };

/** Compiles a source under its own name; resolves with the exit code, the errors and the files that were read. */
async function compile(name, source, moduleResolution) {
  const directory = join(ROOT, 'target', 'drop-in-types', name);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const compilerOptions = { module: MODULES[moduleResolution], moduleResolution };
  const settings = { extends: SETTINGS, compilerOptions, files: ['usage.ts'] };
  await writeFile(join(directory, 'usage.ts'), source);
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(settings));
  const child = spawn(process.execPath, [COMPILER, '-p', directory, '--pretty', 'false', '--listFiles'], {
    cwd: directory,
  });
  const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  const lines = stdout.split('\n');
  const errors = lines.filter((line) => /error TS\d+/.test(line));
  return { code, errors, files: lines.filter((line) => line.endsWith('.ts')) };
}

for (const [specifier, declarations] of Object.entries(DECLARATIONS)) {
  describe(specifier, () => {
    const source = USAGE.replaceAll(`'${PEER}'`, `'${specifier}'`);
    const folder = specifier.split('/').at(-1);

    for (const moduleResolution of Object.keys(MODULES)) {
      test(`takes all of it with moduleResolution ${moduleResolution}`, async () => {
        const { code, errors, files } = await compile(
          `${folder}-${moduleResolution}`,
          source,
          moduleResolution,
        );
        assert.deepEqual([errors, code], [[], 0]);
        assert.ok(files.includes(join(ROOT, declarations)), 'the types are those of the package');
      });
    }

    for (const [what, mistake, error] of [
      [
        'a parameter that is misspelt',
        "analytics.track({ userId: 'u1', evnt: 'Ordered' });",
        /'evnt' does not exist/,
      ],
      ['an event that does not exist', "analytics.on('deliverd', () => {});", /"deliverd"/],
      ['a plugin without load', "const bare: Plugin = { name: 'b', type: 'before' };", /type 'Plugin/],
      [
        'a client that answers nothing',
        'const none: HTTPClient = { makeRequest: async () => {} };',
        /is not assignable to type '.*Promise<HTTPResponse>'/,
      ],
    ]) {
      test(`refuses ${what}`, async () => {
        const { code, errors } = await compile(
          `${folder}-${what.replaceAll(' ', '-')}`,
          source + mistake,
          'nodenext',
        );
        assert.notEqual(code, 0);
        assert.equal(errors.length, 1, errors.join('\n'));
        assert.match(errors[0], error);
        assert.match(errors[0], new RegExp(`usage\\.ts\\(${source.split('\n').length},`), 'on its line');
      });
    }
  });
}
