/** What is packed for Lambda: the addon of the function's architecture, whatever machine packs it. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { llvmTool } from '../scripts/setup/llvm-tools.mjs';
import { startSegment } from './support/clients.mjs';
import { CPUS, elf, INFRA, infra, temporaryFolder } from './support/infra.mjs';
import { lastLine, runScript } from './support/programs.mjs';

const { bundle, findAddon } = infra;
const require = createRequire(import.meta.url);
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const { version: VERSION } = require('@companion/segment/package.json');
const SCRATCH = temporaryFolder();
const COMMAND = join(INFRA, 'dist', 'bundle-command.js');
const ENTRIES = ['sns', 'sqs'];
const ARCHITECTURES = Object.keys(CPUS);

const entryOf = (name) => join(INFRA, 'lambda', `${name}.ts`);
const addonName = (architecture) => `companion-segment.linux-${CPUS[architecture]}-gnu.node`;
const builtAddon = (architecture) =>
  join(ROOT, 'npm', `linux-${CPUS[architecture]}-gnu`, addonName(architecture));
const digest = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');

let folders = 0;
function newFolder() {
  folders += 1;
  const folder = join(SCRATCH, String(folders));
  mkdirSync(folder);
  return folder;
}

/** One bundle of each kind, for all tests. */
const BUNDLES = {};
for (const entry of ENTRIES) {
  for (const architecture of ARCHITECTURES) {
    const outdir = newFolder();
    await bundle({ entry: entryOf(entry), architecture, outdir });
    BUNDLES[`${entry} ${architecture}`] = outdir;
  }
}

/** An addon with some of its bytes changed. */
function changedAddon(architecture, change) {
  const path = join(newFolder(), addonName(architecture));
  const bytes = readFileSync(builtAddon(architecture));
  change(bytes);
  writeFileSync(path, bytes);
  return path;
}

/** Puts a text of the same length in the place of another, everywhere. */
function rewrite(bytes, from, to) {
  assert.equal(from.length, to.length);
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at)) bytes.write(to, at, 'latin1');
}

const bundleWith = (architecture, addon) =>
  bundle({ entry: entryOf('sns'), architecture, outdir: newFolder(), addon });

describe('a bundle', () => {
  for (const architecture of ARCHITECTURES) {
    for (const entry of ENTRIES) {
      test(`of ${entry} for ${architecture} holds index.js and the addon of that architecture alone`, () => {
        const folder = BUNDLES[`${entry} ${architecture}`];
        assert.deepEqual(readdirSync(folder).toSorted(), [addonName(architecture), 'index.js'].toSorted());
        const machine = readFileSync(join(folder, addonName(architecture))).readUInt16LE(18);
        assert.equal(machine, { x86_64: 0x3e, arm64: 0xb7 }[architecture]);
        assert.equal(digest(join(folder, addonName(architecture))), digest(builtAddon(architecture)));
      });

      test(`of ${entry} for ${architecture} requires that addon, Node and the SDK of the runtime only`, () => {
        const code = readFileSync(join(BUNDLES[`${entry} ${architecture}`], 'index.js'), 'utf8');
        const names = (call) => Array.from(code.matchAll(call), ([, name]) => name);
        const required = names(/\brequire\("([^"]+)"\)/g);
        assert.notEqual(required.length, 0);
        const others = required.filter((name) => !builtinModules.includes(name.replace(/^node:/, '')));
        assert.deepEqual(others, []);
        const beside = names(/\bload\("(\.[^"]+)"\)/g);
        assert.deepEqual(beside, [`./${addonName(architecture)}`]);
      });
    }
  }

  test('can be read by anybody', () => {
    for (const folder of Object.values(BUNDLES)) {
      for (const file of readdirSync(folder))
        assert.equal(statSync(join(folder, file)).mode & 0o777, 0o644, file);
    }
  });

  test('has the same bytes when it is made again, somewhere else', () => {
    const outdir = newFolder();
    const args = ['--entry', 'sns', '--architecture', 'arm64', '--outdir', outdir];
    const { status, stderr } = spawnSync(process.execPath, [COMMAND, ...args], {
      cwd: outdir,
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    for (const file of readdirSync(outdir)) {
      assert.equal(digest(join(outdir, file)), digest(join(BUNDLES['sns arm64'], file)), file);
    }
  });

  test('keeps the names that stack traces show', () => {
    const code = readFileSync(join(BUNDLES['sns x86_64'], 'index.js'), 'utf8');
    assert.ok(code.includes('NotificationReceiver = class'), 'the class has lost its name');
  });

  test('is refused for a module that does not use the package', async () => {
    const folder = newFolder();
    mkdirSync(join(folder, 'node_modules', '@companion'), { recursive: true });
    symlinkSync(ROOT, join(folder, 'node_modules', '@companion', 'segment'));
    const entry = join(folder, 'entry.mjs');
    writeFileSync(entry, 'export const handler = async () => {};');
    await assert.rejects(bundle({ entry, architecture: 'arm64', outdir: newFolder() }), {
      name: 'BundleError',
      message: `${entry} does not use @companion/segment: there is nothing to load the addon.`,
    });
  });

  test('is refused for a module that does not see the package', async () => {
    const entry = join(newFolder(), 'entry.mjs');
    writeFileSync(entry, 'export const handler = async () => {};');
    await assert.rejects(bundle({ entry, architecture: 'arm64', outdir: newFolder() }), {
      name: 'BundleError',
      message: `@companion/segment is not installed for ${entry}.`,
    });
  });
});

describe('the entry points', () => {
  test('are well typed', () => {
    const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', join(INFRA, 'lambda')], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout);
  });

  const notification = (email) => ({
    notificationType: 'Message',
    type: 'CustomerCreated',
    id: 'message-1',
    customer: { id: 'customer-1', email, firstName: 'Mira' },
  });
  const sns = (message) => ({
    EventSource: 'aws:sns',
    EventVersion: '1.0',
    EventSubscriptionArn: 'arn:aws:sns:eu-central-1:123456789012:commercetools-webhook-test:1',
    Sns: {
      Type: 'Notification',
      MessageId: 'sns-1',
      TopicArn: 'arn:aws:sns:eu-central-1:123456789012:commercetools-webhook-test',
      Message: JSON.stringify(message),
      Timestamp: '2026-01-01T00:00:00.000Z',
    },
  });
  const sqs = (message) => ({
    messageId: 'sqs-1',
    receiptHandle: 'handle',
    body: JSON.stringify(message),
    attributes: { ApproximateReceiveCount: '1' },
    messageAttributes: {},
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:eu-central-1:123456789012:commercetools-webhook-test',
  });
  const EVENTS = {
    sns: (message) => ({ Records: [sns(message)] }),
    sqs: (message) => ({ Records: [sqs(message)] }),
  };

  for (const entry of ENTRIES) {
    test(`identify a customer from nothing but the bundle: ${entry}`, async (t) => {
      const segment = await startSegment(t);
      const architecture = process.arch === 'arm64' ? 'arm64' : 'x86_64';
      const file = join(BUNDLES[`${entry} ${architecture}`], 'index.js');
      const event = EVENTS[entry](notification('mira@example.com'));
      const source = `
        const { handler } = require(${JSON.stringify(file)});
        const context = { getRemainingTimeInMillis: () => 30_000 };
        handler(${JSON.stringify(event)}, context).then((answer) => {
          console.log(JSON.stringify(answer));
          process.exit();
        });`;
      const env = {
        SEGMENT_WRITE_KEY: 'key-of-the-function',
        SEGMENT_HOST: segment.url,
        POWERTOOLS_SERVICE_NAME: 'commercetools-segment-test',
        POWERTOOLS_METRICS_NAMESPACE: 'CommercetoolsSegment',
      };
      const { code, stdout, stderr } = await runScript(t, source, { env, type: 'commonjs' });
      assert.equal(code, 0, stderr);
      const [identified] = segment.events;
      assert.equal(identified.userId, 'mira@example.com');
      assert.equal(identified.context.library.version, VERSION);
      const expected = {
        sns: { identified: 1, ignored: 0, invalid: 0, failed: 0 },
        sqs: { batchItemFailures: [] },
      };
      assert.deepEqual(lastLine(stdout), expected[entry]);
      const metrics = stdout
        .split('\n')
        .filter((line) => line.includes('"_aws"'))
        .map((line) => JSON.parse(line));
      assert.equal(metrics.length, 1);
      assert.equal(metrics[0].IdentifySent, 1);
      // What alarms and dashboard look for.
      const { _aws: emf } = metrics[0];
      assert.equal(emf.CloudWatchMetrics[0].Namespace, 'CommercetoolsSegment');
      assert.deepEqual(emf.CloudWatchMetrics[0].Dimensions, [['service']]);
      assert.equal(metrics[0].service, 'commercetools-segment-test');
      assert.ok(!stdout.includes('mira@example.com') && !stdout.includes('key-of-the-function'));
    });
  }
});

describe('an addon is refused', () => {
  test('that is for the other architecture', async () => {
    await assert.rejects(bundleWith('arm64', builtAddon('x86_64')), {
      name: 'BundleError',
      message: `${builtAddon('x86_64')} is for x86_64; the function is for arm64.`,
    });
    await assert.rejects(
      bundleWith('x86_64', builtAddon('arm64')),
      /is for arm64; the function is for x86_64\.$/,
    );
  });

  test('that is for a machine nobody has', async () => {
    const addon = changedAddon('arm64', (bytes) => bytes.writeUInt16LE(0xf3, 18));
    await assert.rejects(bundleWith('arm64', addon), /is for machine 0xf3; the function is for arm64\.$/);
  });

  test('that is no shared library of Linux', async () => {
    for (const content of ['', 'not an addon', Buffer.alloc(4096)]) {
      const addon = join(newFolder(), addonName('arm64'));
      writeFileSync(addon, content);
      await assert.rejects(
        bundleWith('arm64', addon),
        /is no shared library of Linux; the function is for arm64\.$/,
      );
    }
  });

  test('that needs a newer glibc than Lambda has', async () => {
    const changed = (version) => (bytes) => rewrite(bytes, 'GLIBC_2.17', version);
    const addon = changedAddon('arm64', changed('GLIBC_2.35'));
    await assert.rejects(bundleWith('arm64', addon), (error) => {
      assert.ok(error.message.startsWith(`${addon} needs GLIBC_2.35, and Lambda has 2.34. Run: `));
      return true;
    });
    await bundleWith('arm64', changedAddon('arm64', changed('GLIBC_2.34')));
  });

  test('of another version', async () => {
    const [here, other] = [VERSION, VERSION.replaceAll(/\d/g, '9')].map(
      (text) => `companion-segment/${text}`,
    );
    const addon = changedAddon('x86_64', (bytes) => rewrite(bytes, here, other));
    await assert.rejects(
      bundleWith('x86_64', addon),
      new RegExp(`is of another version than @companion/segment ${VERSION}\\. Run: `),
    );
  });
});

describe('the addon is found', () => {
  /** A package like ours, with addons of these places. */
  function newPackage({ isCheckout = false, places = [] } = {}) {
    const root = newFolder();
    writeFileSync(
      join(root, 'package.json'),
      JSON.stringify({ name: '@companion/segment', version: VERSION }),
    );
    if (isCheckout) writeFileSync(join(root, 'Cargo.toml'), '');
    for (const place of places) {
      mkdirSync(dirname(join(root, place)), { recursive: true });
      copyFileSync(builtAddon('arm64'), join(root, place));
    }
    return root;
  }

  const INSTALLED = `node_modules/@companion/segment-linux-arm64-gnu/${addonName('arm64')}`;
  const BUILT = `npm/linux-arm64-gnu/${addonName('arm64')}`;

  for (const [places, expected] of [
    [[BUILT, INSTALLED], BUILT],
    [[INSTALLED], INSTALLED],
  ]) {
    test(`at ${expected} before the places behind it`, () => {
      const root = newPackage({ places });
      if (places.includes(INSTALLED)) {
        const manifest = { name: '@companion/segment-linux-arm64-gnu', main: addonName('arm64') };
        writeFileSync(join(root, dirname(INSTALLED), 'package.json'), JSON.stringify(manifest));
      }
      assert.equal(findAddon(root, 'arm64'), join(root, expected));
    });
  }

  test('nowhere: the error names the package to install', () => {
    assert.throws(() => findAddon(newPackage(), 'arm64'), {
      name: 'BundleError',
      message: `The addon for arm64 is missing. Run: npm install --no-save --force @companion/segment-linux-arm64-gnu@${VERSION}`,
    });
    assert.throws(() => findAddon(newPackage(), 'x86_64'), /--force @companion\/segment-linux-x64-gnu@\d/);
  });

  test('nowhere in a checkout: the error names the command that builds it', () => {
    assert.throws(() => findAddon(newPackage({ isCheckout: true }), 'arm64'), {
      message: 'The addon for arm64 is missing. Run: npm run build:lambda',
    });
  });

  test('and the wrong one in its place is refused', () => {
    const root = newPackage({ places: [`npm/linux-x64-gnu/${addonName('x86_64')}`] });
    assert.throws(() => findAddon(root, 'x86_64'), /is for arm64; the function is for x86_64/);
  });
});

describe('the addons for Lambda', () => {
  for (const architecture of ARCHITECTURES) {
    test(`need no glibc after 2.17: ${architecture}`, () => {
      const versions = elf
        .neededVersions(readFileSync(builtAddon(architecture)))
        .filter((version) => version.startsWith('GLIBC_'));
      assert.notEqual(versions.length, 0);
      const newer = versions.filter((version) => Number(version.split('.')[1]) > 17);
      assert.deepEqual(newer, []);
    });
  }

  test('need what llvm-objdump finds in them', () => {
    const listing = execFileSync(llvmTool('llvm-objdump'), ['-p', builtAddon('x86_64')], {
      encoding: 'utf8',
    });
    const required = Array.from(listing.matchAll(/ 0x[0-9a-f]{8} 0x00 \d+ (\S+)$/gm), ([, name]) => name);
    assert.notEqual(required.length, 0);
    assert.deepEqual(elf.neededVersions(readFileSync(builtAddon('x86_64'))), required);
  });
});

describe('the command', () => {
  const run = (args) =>
    spawnSync(process.execPath, [COMMAND].concat(args), { encoding: 'utf8', cwd: SCRATCH });

  test('packs for other tools than the CDK', () => {
    const outdir = join(newFolder(), 'new', 'folder');
    const { status, stderr } = run([
      '--entry',
      entryOf('sqs'),
      '--architecture',
      'x86_64',
      '--outdir',
      outdir,
    ]);
    assert.equal(status, 0, stderr);
    assert.deepEqual(readdirSync(outdir).toSorted(), [addonName('x86_64'), 'index.js'].toSorted());
  });

  for (const [what, args, expected] of [
    ['nothing', [], /^Use: --entry /],
    [
      'an architecture of Node',
      ['--entry', 'sns', '--architecture', 'x64', '--outdir', 'x'],
      /^Use: --entry /,
    ],
    [
      'no such entry',
      ['--entry', 'sqsx', '--architecture', 'arm64', '--outdir', 'x'],
      /^There is no sqsx\. Use: /,
    ],
    ['an unknown option', ['--entri', 'sns'], /^Unknown option '--entri'/],
  ]) {
    test(`says what is wrong in one line: ${what}`, () => {
      const { status, stdout, stderr } = run(args);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.match(stderr, expected);
      assert.equal(stderr.trimEnd().split('\n').length, 1);
      assert.ok(!existsSync(join(SCRATCH, 'x')));
    });
  }
});
