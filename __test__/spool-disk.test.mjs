/**
 * A disk that refuses, in any way it can: calls go on, `error` says so once, memory delivers what it holds, and the
 * spool is back when the disk is.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { chmodSync, chownSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import {
  MINIMAL,
  assertConserved,
  failuresOf,
  messageIdsOf,
  startSegment,
  trackMany,
} from './support/clients.mjs';
import { endBy, lastLine } from './support/programs.mjs';
import { makeSpool, recoverAll, runSpooling, segmentFiles, until, untilStats } from './support/spools.mjs';

const HANGS = { faults: [{ hang: true, times: Infinity }] };
const SECRET = 'planted-customer-data';
const FOREIGNER = 12_345;
const isRoot = process.getuid?.() === 0;

const succeeds = (command, ...args) => spawnSync(command, args).status === 0;
/** Only who may mount can have a disk of a size of its own. */
const canMount = isRoot && succeeds('unshare', '--mount', 'mount', '-t', 'tmpfs', 'none', tmpdir());
const canLimit = succeeds('prlimit', '--version');

function mountDisk(spool, options) {
  mkdirSync(spool.directory);
  assert.ok(succeeds('mount', '-t', 'tmpfs', '-o', `${options},mode=0700`, 'none', spool.directory));
  spool.atEnd(() => succeeds('umount', '--lazy', spool.directory));
}

/** A way for a disk to refuse: how it is done, and how it is mended. */
const REFUSALS = {
  'a file in the way': {
    refuse: ({ directory }) => writeFileSync(directory, ''),
    mend: ({ directory }) => rmSync(directory),
  },
  'a file in the way of a parent directory': {
    place: ({ root }) => join(root, 'file', 'spool'),
    refuse: ({ root }) => writeFileSync(join(root, 'file'), ''),
    mend: ({ root }) => rmSync(join(root, 'file')),
  },
  'a symbolic link as directory': {
    refuse: ({ directory, root }) => {
      mkdirSync(join(root, 'elsewhere'));
      symlinkSync(join(root, 'elsewhere'), directory);
    },
    mend: ({ directory }) => rmSync(directory),
  },
  'a symbolic link to nowhere as directory': {
    refuse: ({ directory, root }) => symlinkSync(join(root, 'nowhere'), directory),
    mend: ({ directory }) => rmSync(directory),
  },
  ...(canMount && {
    'a disk that is read-only': {
      refuse: (spool) => mountDisk(spool, 'ro,size=1m'),
      mend: ({ directory }) => assert.ok(succeeds('mount', '-o', 'remount,rw', directory)),
    },
    'a disk that is full from the start': {
      refuse: (spool) => {
        mountDisk(spool, 'size=64k');
        const filler = join(spool.directory, 'filler');
        assert.throws(() => writeFileSync(filler, Buffer.alloc(2 ** 17)), { code: 'ENOSPC' });
      },
      mend: ({ directory }) => rmSync(join(directory, 'filler')),
    },
  }),
  // Nothing is forbidden to root; nobody else may give a directory away.
  ...(isRoot
    ? {
        'a directory of another user': {
          refuse: ({ directory }) => {
            mkdirSync(directory);
            chownSync(directory, FOREIGNER, FOREIGNER);
          },
          mend: ({ directory }) => chownSync(directory, 0, 0),
        },
        'a source directory of another user': {
          refuse: ({ source }) => {
            mkdirSync(source, { recursive: true });
            chownSync(source, FOREIGNER, FOREIGNER);
          },
          mend: ({ source }) => chownSync(source, 0, 0),
        },
      }
    : {
        'a directory that can not be written to': {
          refuse: ({ directory }) => mkdirSync(directory, { mode: 0o500 }),
          mend: ({ directory }) => chmodSync(directory, 0o700),
        },
      }),
};

describe('a spool directory that can not be used', { concurrency: true }, () => {
  for (const [what, { place, refuse, mend }] of Object.entries(REFUSALS)) {
    test(`${what}: tracking and delivery go on, one error tells, and the spool is used once it can be`, async (t) => {
      const segment = await startSegment(t);
      const spool = makeSpool(t);
      refuse(spool);
      const directory = place?.(spool) ?? spool.directory;
      const analytics = spool.open(segment, { spool: { directory } });
      const failures = failuresOf(analytics);
      const first = trackMany(analytics, 10);
      const delivery = analytics.deliver.track({
        ...MINIMAL.track,
        messageId: 'm10',
        properties: { SECRET },
      });
      await assert.rejects(delivery.persisted, { code: 'ERR_SPOOL' });
      assert.equal(analytics.stats().spool, 'degraded');
      const { delivered } = await analytics.flush();
      assert.equal(delivered, 11);
      assert.deepEqual(messageIdsOf(segment.events), [...first, 'm10']);
      await until('the error is told', () => failures.length > 0);
      assert.deepEqual(
        failures.map(({ code, reason }) => [code, reason.code]),
        [['unknown', 'ERR_SPOOL']],
      );
      assert.match(
        failures[0].reason.message,
        /^The spool can't be used: .+ in memory only .+ Check the disk/,
      );
      assert.ok(!failures[0].reason.message.includes(SECRET));

      const meanwhile = trackMany(analytics, 5, 'meanwhile');
      mend(spool);
      await untilStats(analytics, 'the spool is back', ({ spool: state }) => state === 'ready');
      assert.ok(analytics.stats().spoolBytes > 0);
      const files = Buffer.concat(segmentFiles(directory).map(({ bytes }) => bytes)).toString('latin1');
      for (const messageId of meanwhile) assert.ok(files.includes(messageId), `${messageId} is on disk`);
      assert.equal((await analytics.closeAndFlush()).delivered, 16);
      assert.equal(segment.duplicates().size, 0);
      assert.equal(failures.length, 1);
    });
  }

  test('nobody has to listen to errors', async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    writeFileSync(spool.directory, '');
    const program = async ({ analytics, track }) => {
      track('m1');
      await analytics.flush();
    };
    const ended = await runSpooling(t, spool, segment, program);
    assert.deepEqual([ended.code, ended.stderr, messageIdsOf(segment.events)], [0, '', ['m1']]);
  });

  test('closing while it can not be used hands back what is in memory only', async (t) => {
    const segment = await startSegment(t, HANGS);
    const spool = makeSpool(t);
    writeFileSync(spool.directory, '');
    const analytics = spool.open(segment);
    const messageIds = trackMany(analytics, 3);
    const report = await analytics.closeAndFlush({ timeout: 1 });
    assert.deepEqual(messageIdsOf(report.unflushed), messageIds);
    assert.deepEqual([report.spooled, report.pending], [0, 3]);
    assertConserved(report);
    assertConserved(analytics.stats());
  });
});

/** Tracks until the disk fails, and until it is back; then dies of SIGKILL. Reports how many it tracked. */
const survive = async ({ analytics, track, wait, argument: { fail, mend } }) => {
  const { writeSync } = await import('node:fs');
  const { spawnSync: run } = await import('node:child_process');
  const shell = (command) => run('sh', ['-c', command.replaceAll('PID', process.pid)], { stdio: 'inherit' });
  const failures = [];
  analytics.on('error', ({ code, reason }) => failures.push([code, reason.code, reason.message]));
  let count = 0;
  const more = (events) => {
    for (let index = 0; index < events; index += 1) {
      if (!track(`m${count}`, { filler: 'planted-customer-data '.repeat(50) }))
        throw new Error('not accepted');
      count += 1;
    }
  };
  more(20);
  shell(fail);
  await wait(() => {
    more(1);
    return analytics.stats().spool === 'degraded';
  });
  more(20);
  await wait(() => failures.length > 0);
  const { accepted, pending } = analytics.stats();
  shell(mend);
  await wait(() => analytics.stats().spool === 'ready');
  more(20);
  writeSync(1, JSON.stringify({ count, failures, held: accepted === pending }));
  process.kill(process.pid, 'SIGKILL');
};

/** Disks that fail while they are written to, as shell commands. */
const FAILURES = {
  'a spool that is deleted': ({ directory }) => ({ fail: `rm -rf ${directory}`, mend: '' }),
  ...(canLimit && {
    'a disk that takes only a part of what is written': () => ({
      fail: 'prlimit --pid PID --fsize=49152:unlimited',
      mend: 'prlimit --pid PID --fsize=unlimited:unlimited',
    }),
  }),
  ...(canMount && {
    'a disk that is full': (spool) => {
      mountDisk(spool, 'size=1m');
      const filler = join(spool.directory, 'filler');
      return { fail: `head -c 2M /dev/zero > ${filler} 2> /dev/null`, mend: `rm ${filler}` };
    },
  }),
};

describe('a disk that fails', { concurrency: true }, () => {
  for (const [what, prepare] of Object.entries(FAILURES)) {
    test(`${what}: one error tells, and once it is back all that memory held survives a SIGKILL`, async (t) => {
      const segment = await startSegment(t, HANGS);
      const spool = makeSpool(t);
      const argument = prepare(spool);
      const ended = await runSpooling(t, spool, segment, survive, { argument });
      assert.deepEqual([ended.signal, ended.stderr], [endBy('SIGKILL').signal, '']);
      const { count, failures, held } = lastLine(ended.stdout);
      assert.ok(held, 'nothing was given up');
      for (const [code, reason, message] of failures) {
        assert.deepEqual([code, reason], ['unknown', 'ERR_SPOOL']);
        assert.match(message, /The spool can't be used: .+ in memory only .+ Check the disk/);
        assert.ok(!message.includes(SECRET));
      }
      assert.equal(failures.length, 1);
      segment.clearFaults();
      await recoverAll(spool, segment, count);
      const expected = Array.from({ length: count }, (_, index) => `m${index}`);
      assert.deepEqual(messageIdsOf(segment.events).toSorted(), expected.toSorted());
    });
  }
});
