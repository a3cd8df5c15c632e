/** A timestamp leaves as what was understood: ISO 8601 with milliseconds, in UTC. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { createContext, runInContext } from 'node:vm';

import { RecordingAnalytics } from '@companion/segment/testing';

import { METHODS, MINIMAL, assertRefused, startPair } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

const SAME = '2020-01-02T03:04:05.000Z';
const DAY = '2020-01-02T00:00:00.000Z';

/** Text, and the moment that it is. */
const TAKEN = [
  // Dates, whole and in part, of the calendar, of the year and of the week.
  ['2020', '2020-01-01T00:00:00.000Z'],
  ['2020-02', '2020-02-01T00:00:00.000Z'],
  ['2020-01-02', DAY],
  ['20200102', DAY],
  ['2020-002', DAY],
  ['2020002', DAY],
  ['2020-366', '2020-12-31T00:00:00.000Z'],
  ['2020-W01', '2019-12-30T00:00:00.000Z'],
  ['2020W01', '2019-12-30T00:00:00.000Z'],
  ['2020-W01-4', DAY],
  ['2020W014', DAY],
  ['2020-W53-7', '2021-01-03T00:00:00.000Z'],
  ['2009-W01-1', '2008-12-29T00:00:00.000Z'],
  ['2020-02-29', '2020-02-29T00:00:00.000Z'],
  // Times, extended and basic, and as short as they may be.
  ['2020-01-02T03:04:05.000Z', SAME],
  ['2020-01-02T03:04:05Z', SAME],
  ['20200102T030405Z', SAME],
  ['2020-01-02T03:04Z', '2020-01-02T03:04:00.000Z'],
  ['20200102T0304Z', '2020-01-02T03:04:00.000Z'],
  ['2020-01-02T03Z', '2020-01-02T03:00:00.000Z'],
  ['20200102T03Z', '2020-01-02T03:00:00.000Z'],
  ['2020-002T03:04:05Z', SAME],
  ['2020002T030405Z', SAME],
  ['2020-W01-4T03:04:05Z', SAME],
  ['2020W014T030405Z', SAME],
  ['2020-01-02t03:04:05z', SAME],
  ['2020-01-02 03:04:05Z', SAME],
  ['2020-01-02 03:04:05+00:00', SAME],
  // Fractions of whatever comes last, however long.
  ['2020-01-02T03:04:05.1Z', '2020-01-02T03:04:05.100Z'],
  ['2020-01-02T03:04:05,12Z', '2020-01-02T03:04:05.120Z'],
  ['2020-01-02T03:04:05.123456Z', '2020-01-02T03:04:05.123Z'],
  ['2020-01-02T03:04:05,123456789Z', '2020-01-02T03:04:05.123Z'],
  ['20200102T030405.9999999999999999999999Z', '2020-01-02T03:04:05.999Z'],
  [`2020-01-02T03:04:05.${'1'.repeat(5_000)}Z`, '2020-01-02T03:04:05.111Z'],
  ['1969-12-31T23:59:59.9999Z', '1969-12-31T23:59:59.999Z'],
  ['2020-01-02T03:04.25Z', '2020-01-02T03:04:15.000Z'],
  ['20200102T0304,5Z', '2020-01-02T03:04:30.000Z'],
  ['2020-01-02T03.5Z', '2020-01-02T03:30:00.000Z'],
  ['2020-01-02T03,57Z', '2020-01-02T03:34:12.000Z'],
  // Offsets, with a colon, without, and of hours alone.
  ['2020-01-02T04:04:05+01:00', SAME],
  ['2020-01-02T04:04:05+0100', SAME],
  ['2020-01-02T04:04:05+01', SAME],
  ['20200102T040405+0100', SAME],
  ['2020-01-01T17:34:05-09:30', SAME],
  ['2020-01-01T17:34:05\u221209:30', SAME],
  ['2020-01-02T03:04:05-00:00', SAME],
  ['2020-01-03T03:03:05+23:59', SAME],
  // The ends of days.
  ['2020-01-01T24:00:00Z', DAY],
  ['2020-01-01T24:00Z', DAY],
  ['20200101T24Z', DAY],
  ['2020-01-01T24:00:00.000Z', DAY],
  ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z'],
  ['2016-12-31T23:59:60.5Z', '2017-01-01T00:00:00.500Z'],
  ['20170101T015960+0200', '2017-01-01T00:00:00.000Z'],
  // Years of more digits, and of fewer.
  ['+002020-01-02T03:04:05Z', SAME],
  ['+0020200102T030405Z', SAME],
  ['0000-01-01', '0000-01-01T00:00:00.000Z'],
  ['0099-12-31T23:59:59Z', '0099-12-31T23:59:59.000Z'],
  ['-000001-01-01T00:00:00Z', '-000001-01-01T00:00:00.000Z'],
  ['+010000-01-01', '+010000-01-01T00:00:00.000Z'],
  ['+275760-09-13T00:00:00Z', '+275760-09-13T00:00:00.000Z'],
  // As Temporal writes it.
  ['2020-01-02T04:04:05+01:00[Europe/Berlin]', SAME],
  ['2020-01-02T04:04:05.5+01:00[Europe/Berlin][u-ca=iso8601]', '2020-01-02T03:04:05.500Z'],
  ['2020-01-02[u-ca=hebrew]', DAY],
];

const NO_DATE = '.timestamp is not a valid date';
const NO_ISO = '.timestamp is not ISO 8601: give a Date, or text such as 2026-01-31T12:00:00.000Z';
const SECONDS = '.timestamp is a number of seconds: give milliseconds (times 1000), a Date or ISO 8601 text';
const TOO_FINE = '.timestamp is a number of microseconds or less: give milliseconds, a Date or ISO 8601 text';
const throwing = () => {
  throw new Error('canary');
};

/** There is no such day or time. */
const NO_DAYS =
  '2019-02-29 2020-02-30 2020-13-01 2020-00-01 2020-01-00 2020-01-32 2019-366 2020-000 2019-W53-1 2020-W00-1 ' +
  '2020-W54-1 2020-W01-0 2020-W01-8 -000000-01-01 +275760-09-14 2020-01-02T25:00Z 2020-01-02T24:00:01Z ' +
  '2020-01-02T24:00:00.001Z 2020-01-02T03:60Z 2020-01-02T03:04:61Z 2020-01-02T03:04:60Z ' +
  '2020-01-02T03:04:05+24:00 2020-01-02T03:04:05+01:60';
/** Text that is no moment. */
const NO_MOMENTS =
  'nope 03:04:05 T03:04:05Z P1D 2020-01-01/2020-01-02 20 2020-01-02T 2020-01-02T03:0405Z 2020-01-02T03:04:05.Z ' +
  '2020-01-02T3:04Z 2020-01-02T03:04:05[Europe/Berlin]';
const NO_TEXTS = [
  new Date(Number.NaN),
  Number.NaN,
  Infinity,
  -Infinity,
  true,
  false,
  [2020],
  [],
  Symbol('canary'),
  5n,
  () => 5,
  Object.create(null),
  {},
  new String(SAME),
  { toJSON: throwing },
  { toJSON: () => null },
  { toJSON: () => '03:04:05' },
  {
    get toJSON() {
      return throwing();
    },
  },
  { epochMilliseconds: Number.NaN },
  new Proxy(new Date(0), {}),
  new Map(),
];
const REFUSED = [...NO_DAYS.split(' '), ...NO_MOMENTS.split(' '), '', ...NO_TEXTS].map((value) => [
  value,
  NO_DATE,
]);

/** What V8 guesses, everybody in another way. */
const MISREAD = ['1', '5', '2020-1-2', '202001', '01/02/2020', '2020/01/02', 'Jan 2, 2020', '2 January 2020'];
const MORE_MISREAD = [
  'Sun, 13 Sep 2020 12:26:40 GMT',
  String(new Date(0)),
  '2020-01-02 03:04:05',
  '2020-01-02 03:04:05.123456',
  '2020-01-02Z',
  ' 2020-01-02',
];
for (const text of [...MISREAD, ...MORE_MISREAD]) REFUSED.push([text, NO_ISO]);
for (const number of [1_600_000_000, 1_600_000_000.123, -1_600_000_000, 100_000_000, 9_999_999_999])
  REFUSED.push([number, SECONDS]);
for (const number of [1_600_000_000_000_000, 1.6e18, -1_600_000_000_000_000, 8.64e15 + 1])
  REFUSED.push([number, TOO_FINE]);

const moment = new Date(1_600_000_000_123);
const ISO = moment.toISOString();
class OwnDate extends Date {
  toJSON() {
    return 'whatever';
  }
}
/** What is no text. */
const OBJECTS = [
  ['a Date', moment, ISO],
  ['a Date of another realm', runInContext('new Date(1600000000123)', createContext()), ISO],
  ['a Date that writes itself in its own way', new OwnDate(moment), ISO],
  ['a Date before 1970', new Date(-1), '1969-12-31T23:59:59.999Z'],
  ['the last Date there is', new Date(8.64e15), '+275760-09-13T00:00:00.000Z'],
  ['milliseconds', 1_600_000_000_123, ISO],
  ['milliseconds with a fraction', 1_600_000_000_123.9, ISO],
  ['milliseconds of 1970', 5, '1970-01-01T00:00:00.005Z'],
  ['the epoch', 0, '1970-01-01T00:00:00.000Z'],
  ['milliseconds before 1970', -1_600_000_000_123, new Date(-1_600_000_000_123).toISOString()],
  [
    'an object that writes itself as ISO 8601',
    { toJSON: () => '2020-01-02T04:04:05.678+01:00' },
    '2020-01-02T03:04:05.678Z',
  ],
  ['an object that writes itself as milliseconds', { toJSON: () => 1_600_000_000_123 }, ISO],
  [
    'a Temporal.Instant',
    temporal('Instant', { epochMilliseconds: 1_600_000_000_123 }, '2020-09-13T12:26:40.123456789Z'),
    ISO,
  ],
  // Its text has an offset of minutes, which that of Paris was not.
  [
    'a Temporal.ZonedDateTime',
    temporal(
      'ZonedDateTime',
      { epochMilliseconds: -2_208_988_761_000 },
      '1900-01-01T00:00:00+00:09[Europe/Paris]',
    ),
    '1900-01-01T00:00:39.000Z',
  ],
  ['a Temporal.PlainDate', temporal('PlainDate', {}, '2020-01-02'), DAY],
  [
    'a Temporal.PlainDateTime',
    temporal('PlainDateTime', {}, '2020-01-02T03:04:05.123456'),
    new Date('2020-01-02T03:04:05.123').toISOString(),
  ],
  ['a Temporal.PlainYearMonth', temporal('PlainYearMonth', {}, '2020-02'), '2020-02-01T00:00:00.000Z'],
];
REFUSED.push(
  [temporal('PlainTime', {}, '03:04:05'), NO_DATE],
  [temporal('PlainMonthDay', {}, '01-02'), NO_ISO],
);
REFUSED.push([temporal('Duration', {}, 'PT1H'), NO_DATE]);

/** As the real ones where a runtime has them: they can't be compared or added, and write themselves. */
function temporal(name, members, text) {
  const valueOf = throwing;
  return { ...members, valueOf, toJSON: () => text, [Symbol.toStringTag]: `Temporal.${name}` };
}

/** The timestamps as they arrive, on each way that there is to a queue. */
async function sentTimestamps(t, timestamps) {
  const direct = await startPair(t);
  const redacting = await startPair(t, { redact: ['properties.none'] });
  const planned = await startPair(t);
  await planned.analytics.register({
    name: 'p',
    type: 'before',
    isLoaded: () => true,
    load: async () => {},
    track: (context) => context,
  });
  const recording = new RecordingAnalytics();
  for (const { analytics } of [direct, redacting, planned, { analytics: recording }]) {
    for (const timestamp of timestamps)
      assert.equal(analytics.track({ ...MINIMAL.track, timestamp }), true, inspect(timestamp));
    await analytics.flush();
  }
  const [sent, ...others] = [direct, redacting, planned]
    .map(({ segment }) => segment.events)
    .concat([recording.events])
    .map((events) => events.map(({ timestamp }) => timestamp));
  for (const other of others) assert.deepEqual(other, sent);
  return sent;
}

test('every form of ISO 8601 is understood', async (t) => {
  const sent = await sentTimestamps(
    t,
    TAKEN.map(([text]) => text),
  );
  assert.deepEqual(
    sent.map((timestamp, index) => [TAKEN[index][0].slice(0, 60), timestamp]),
    TAKEN.map(([text, expected]) => [text.slice(0, 60), expected]),
  );
});

test('so is whatever has a moment or writes itself as one', async (t) => {
  const sent = await sentTimestamps(
    t,
    OBJECTS.map(([, value]) => value),
  );
  assert.deepEqual(
    sent.map((timestamp, index) => [OBJECTS[index][0], timestamp]),
    OBJECTS.map(([what, , expected]) => [what, expected]),
  );
});

test('by all methods', async (t) => {
  const { analytics, segment } = await startPair(t);
  for (const method of METHODS) analytics[method]({ ...MINIMAL[method], timestamp: '2020W014T040405,0+01' });
  await analytics.flush();
  assert.deepEqual([...new Set(segment.events.map(({ timestamp }) => timestamp))], [SAME]);
});

describe('what is refused', () => {
  for (const [timestamp, message] of REFUSED) {
    const shown = inspect(timestamp, { breakLength: Infinity }).slice(0, 70);
    test(`${shown}: ${message}`, async (t) => {
      for (const settings of [{}, { redact: ['properties.none'] }]) {
        const { analytics } = await startPair(t, settings);
        const call = () => analytics.track({ ...MINIMAL.track, timestamp });
        const { reason } = assertRefused(analytics, call, 'ERR_VALIDATION');
        assert.deepEqual([reason.field, reason.message], ['.timestamp', message]);
      }
    });
  }

  test('a plugin that leaves no moment: told, and nothing is sent', async (t) => {
    const { analytics, segment } = await startPair(t);
    const track = ({ event }) => void (event.timestamp = '01/02/2020');
    await analytics.register({
      name: 'p',
      type: 'before',
      isLoaded: () => true,
      load: async () => {},
      track,
    });
    await assert.rejects(analytics.deliver.track(MINIMAL.track), {
      code: 'ERR_VALIDATION',
      field: '.timestamp',
    });
    assert.equal(segment.requestCount, 0);
  });
});

test("a Date is the caller's: what becomes of it after the call is not sent, and a plugin's is understood", async (t) => {
  const { analytics, segment } = await startPair(t);
  const timestamp = new Date(0);
  analytics.track({ ...MINIMAL.track, timestamp });
  timestamp.setTime(1);
  await analytics.flush();
  const track = ({ event }) => void (event.timestamp = new Date(5));
  await analytics.register({ name: 'p', type: 'before', isLoaded: () => true, load: async () => {}, track });
  analytics.track(MINIMAL.track);
  await analytics.flush();
  assert.deepEqual(
    segment.events.map((event) => event.timestamp),
    ['1970-01-01T00:00:00.000Z', '1970-01-01T00:00:00.005Z'],
  );
});

describe('text without an offset is read as by new Date(): local time, and UTC for a date alone', () => {
  for (const zone of ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu']) {
    test(zone, async (t) => {
      const program = async () => {
        const { RecordingAnalytics: Recorder } = await import('@companion/segment/testing');
        const analytics = new Recorder();
        const texts = [
          '2020-07-02T03:04:05',
          '2020-03-29T02:30:00',
          '2020-01-02T24:00',
          '2020-01-02',
          '2020',
        ];
        // Random moments, as V8 reads them too.
        let seed = 1;
        const chance = (below) => (seed = (seed * 48_271) % 2_147_483_647) % below;
        const two = (number) => String(number).padStart(2, '0');
        for (let index = 0; index < 500; index += 1) {
          const year = String(chance(9_999)).padStart(4, '0');
          const day = `${year}-${two(1 + chance(12))}-${two(1 + chance(28))}`;
          texts.push(day, `${day}T${two(chance(24))}:${two(chance(60))}:${two(chance(60))}.${chance(1_000)}`);
        }
        for (const timestamp of texts) analytics.track({ userId: 'u1', event: 'e', timestamp });
        const wrong = analytics.events.filter(
          ({ timestamp }, index) => timestamp !== new Date(texts[index]).toISOString(),
        );
        console.log(JSON.stringify([analytics.events.length, wrong.length]));
      };
      const { stdout, stderr } = await runProgram(t, program, {}, { env: { TZ: zone } });
      assert.deepEqual([lastLine(stdout), stderr], [[1_005, 0], '']);
    });
  }
});
