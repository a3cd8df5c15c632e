/** The check of workflows: each of its rules tells of a fault that is planted for it, and of nothing else. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { RULES, cautions, problemsOf, read, refusals, unbuilt } from '../scripts/lint/workflows.mjs';

const SHA = '0123456789abcdef0123456789abcdef01234567';
const PATH = '.github/workflows/sample.yml';

const SOUND = `
name: Sample
on:
  push:
permissions: {}
concurrency:
  group: sample
jobs:
  one:
    runs-on: \${{ matrix.runner }}
    timeout-minutes: 5
    permissions:
      contents: read
    strategy:
      matrix:
        runner: [ubuntu-24.04]
        include:
          - runner: windows-11-arm
    steps:
      - uses: actions/checkout@${SHA} # v1.2.3
        with:
          persist-credentials: false
      - uses: actions/setup-node@${SHA} # v1.2.3
        with:
          node-version: 24
          package-manager-cache: false
      - name: Test
        env:
          NAME: \${{ github.ref_name }}
        run: |
          npm test
          npm run lint -- --only words
          node scripts/setup.mjs "$NAME"
  two:
    needs: one
    permissions:
      contents: read
    uses: ./.github/workflows/called.yml
`;

const FACTS = {
  scripts: ['test', 'lint'],
  exists: (path) => ['scripts/setup.mjs', '.github/workflows/called.yml'].includes(path),
};

/** [rule, what is wrong, what is there, what is there instead, what is told] */
const FAULTS = [
  ['pinned', 'a tag', `checkout@${SHA} # v1.2.3`, 'checkout@v1', 'checkout@v1 is not pinned'],
  ['pinned', 'a short commit', `checkout@${SHA}`, 'checkout@0123456', 'is not pinned'],
  ['pinned', 'no version', `checkout@${SHA} # v1.2.3`, `checkout@${SHA}`, 'there is no version'],
  ['pinned', 'half a version', `node@${SHA} # v1.2.3`, `node@${SHA} # v1`, 'there is no version'],
  ['pinned', 'no such workflow', 'called.yml', 'gone.yml', 'there is no ./.github/workflows/gone.yml'],
  ['rights', 'rights for all jobs', 'permissions: {}', 'permissions: read-all', 'at the top have to be {}'],
  ['rights', 'one right for all jobs', 'permissions: {}', 'permissions: { contents: read }', 'have to be {}'],
  ['rights', 'GitHub decides', 'permissions: {}\n', '', 'at the top have to be {}'],
  [
    'rights',
    'a job without',
    '    permissions:\n      contents: read\n    uses',
    '    uses',
    'job two does not say',
  ],
  [
    'rights',
    'a job with all',
    'permissions:\n      contents: read',
    'permissions: write-all',
    'job one does not',
  ],
  ['timeouts', 'no limit', '    timeout-minutes: 5\n', '', 'job one has no timeout-minutes'],
  ['concurrency', 'no group', 'concurrency:\n  group: sample\n', '', 'no concurrency group'],
  ['credentials', 'kept', 'persist-credentials: false', 'fetch-depth: 0', 'persist-credentials: false'],
  ['credentials', 'kept on purpose', 'persist-credentials: false', 'persist-credentials: true', 'needs'],
  ['runners', 'whatever is latest', '[ubuntu-24.04]', '[ubuntu-latest]', 'runs on ubuntu-latest'],
  ['runners', 'an included one', 'runner: windows-11-arm', 'runner: windows-2019', 'runs on windows-2019'],
  ['runners', 'without a matrix', '${{ matrix.runner }}', 'macos-13', 'runs on macos-13'],
  ['expressions', 'inserted', '"$NAME"', '"${{ github.ref_name }}"', 'hand values to the script in env'],
  ['commands', 'no such script', 'npm run lint', 'npm run lint:all', 'one, Test: no script lint:all'],
  ['commands', 'no such program', 'scripts/setup.mjs', 'scripts/gone.mjs', 'there is no scripts/gone.mjs'],
];

/** `text` with `there` replaced, which has to be in it. */
function planted(text, there, instead) {
  assert.ok(text.includes(there), `the sample has no ${there}`);
  return text.replace(there, () => instead);
}

describe('a rule', () => {
  test('finds nothing in a sound workflow', async () => {
    const workflow = await read(PATH, SOUND);
    assert.deepEqual(await refusals(PATH, SOUND), []);
    for (const rule of Object.values(RULES)) assert.deepEqual(rule(workflow, FACTS), []);
  });

  test('has a fault that is planted for it', () => {
    assert.deepEqual([...new Set(FAULTS.map(([rule]) => rule))], Object.keys(RULES));
  });

  for (const [rule, what, there, instead, told] of FAULTS) {
    test(`${rule}: ${what}`, async () => {
      const workflow = await read(PATH, planted(SOUND, there, instead));
      const problems = Object.entries(RULES).flatMap(([name, check]) =>
        check(workflow, FACTS).map((problem) => ({ name, problem })),
      );
      assert.deepEqual(
        problems.map(({ name }) => name),
        [rule],
      );
      assert.ok(problems[0].problem.includes(told), problems[0].problem);
    });
  }

  test('concurrency: what is only called leaves it to the caller', async () => {
    const called = planted(SOUND, 'on:\n  push:\n', 'on:\n  workflow_call:\n');
    const workflow = await read(PATH, planted(called, 'concurrency:\n  group: sample\n', ''));
    assert.deepEqual(RULES.concurrency(workflow, FACTS), []);
  });
});

describe('refused', () => {
  for (const [what, there, instead, told] of [
    [
      'is what is no YAML',
      'permissions: {}',
      'permissions: {',
      /^\.github\/workflows\/sample\.yml: .+ line \d+/,
    ],
    ['is a key that the schema does not know', 'needs: one', 'neds: one', /'neds' is not allowed/],
    ['is a step that does nothing', 'run: |', 'shell: |', /"run\\?" is required to run script in step/],
    ['is a job that waits for none', 'needs: one', 'needs: three', /needs job "three" which does not exist/],
    ['is a context that is not there', 'github.ref_name', 'github.ref_nam', /"ref_nam" is not defined/],
    [
      'is what a stranger writes, in a script',
      '"$NAME"',
      '"${{ github.head_ref }}"',
      /"github\.head_ref" is potentially untrusted/,
    ],
  ]) {
    test(what, async () => {
      const problems = await refusals(PATH, planted(SOUND, there, instead));
      assert.match(problems.join('\n'), told);
    });
  }

  test('is told without the rules, which would stumble over it', async () => {
    const broken = { path: PATH, text: planted(SOUND, 'permissions: {}', 'permissions: {') };
    const problems = await problemsOf([broken], FACTS, []);
    assert.equal(problems.length, 1);
    assert.match(problems[0], /line \d+/);
  });
});

describe('a release', () => {
  /** The sample as the release, or as what the release calls. */
  async function releasing(text, { called = false } = {}) {
    const calls = await read('.github/workflows/release.yml', planted(SOUND, 'called.yml', 'sample.yml'));
    return called ? [calls, await read(PATH, text)] : [await read('.github/workflows/release.yml', text)];
  }

  test('may be as the sample is', async () => {
    assert.deepEqual(cautions(await releasing(SOUND)), []);
  });

  for (const [what, there, instead, told] of [
    ['of node_modules', 'package-manager-cache: false', 'check-latest: true', /keeps a cache/],
    [
      'that is asked for',
      'package-manager-cache: false',
      'package-manager-cache: false\n          cache: npm',
      /with a cache/,
    ],
    ['of its own', `setup-node@${SHA}`, `cache@${SHA}`, /is a cache/],
    ['of somebody', `actions/setup-node@${SHA}`, `swatinem/rust-cache@${SHA}`, /is a cache/],
  ]) {
    for (const called of [false, true]) {
      test(`has no cache ${what}${called ? ', nor has what it calls' : ''}`, async () => {
        const problems = cautions(await releasing(planted(SOUND, there, instead), { called }));
        assert.match(problems.join('\n'), told);
      });
    }
  }

  test('may cache what others do: that is no release', async () => {
    const other = await read(PATH, planted(SOUND, 'package-manager-cache: false', 'cache: npm'));
    assert.deepEqual(cautions([...(await releasing(SOUND)), other]), []);
  });

  test('looks for no token', async () => {
    const text = planted(
      SOUND,
      'node-version: 24',
      'node-version: 24\n          registry-url: https://example.com',
    );
    assert.match(cautions(await releasing(text)).join('\n'), /registry-url makes npm look for a token/);
  });

  test('reads no secret', async () => {
    const text = planted(SOUND, 'github.ref_name', 'secrets.NPM_TOKEN');
    assert.match(cautions(await releasing(text)).join('\n'), /a release needs no secret/);
    assert.deepEqual(cautions(await releasing(`${SOUND}# no secrets\n`)), []);
  });

  test('has to be there', async () => {
    assert.deepEqual(cautions([await read(PATH, SOUND)]), ['there is no .github/workflows/release.yml']);
  });
});

describe('a platform', () => {
  const BUILD = planted(
    SOUND,
    'runner: windows-11-arm',
    'runner: windows-11-arm\n            platform: win32-arm64-msvc',
  );

  async function build() {
    return [await read('.github/workflows/build.yml', BUILD)];
  }

  test('that has a package is built', async () => {
    assert.deepEqual(unbuilt(await build(), ['win32-arm64-msvc']), []);
    assert.deepEqual(unbuilt(await build(), ['win32-arm64-msvc', 'linux-x64-gnu']), [
      '.github/workflows/build.yml: nothing builds linux-x64-gnu',
    ]);
  });

  test('that is built has a package', async () => {
    assert.deepEqual(unbuilt(await build(), []), [
      '.github/workflows/build.yml: there is no npm/win32-arm64-msvc',
    ]);
  });

  test('needs the workflow that builds', async () => {
    assert.deepEqual(unbuilt([await read(PATH, SOUND)], []), ['there is no .github/workflows/build.yml']);
  });
});

test('workflows install the cargo-deny that npm run lint installs', () => {
  const source = (path) => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8');
  const [, version] = /VERSION = '(.+)'/.exec(source('scripts/lint/cargo-deny.mjs')) ?? [];
  assert.match(version, /^\d+\.\d+\.\d+$/);
  const workflow = source('.github/workflows/audit.yml');
  assert.ok(workflow.includes(`cargo install cargo-deny --locked --version ${version}\n`), version);
});
