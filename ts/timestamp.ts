/**
 * When it happened: what callers give as a moment, and what of it is understood. The rules of time that is written
 * without a zone are those of `new Date(text)`: a date alone is UTC, a date with a time is local.
 */
import { types } from 'node:util';

import { ValidationError } from './errors.js';

/** As `toISOString()` writes it, on days that every month has: what needs no second look. */
const CANONICAL = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

/** Beyond it, a number that counts milliseconds since 1970 is no moment of anybody's, but counts something smaller. */
const YEAR_10000_MS = 253_402_300_800_000;
/** Numbers from 1973 to 2286 in seconds; as milliseconds they would all be of the first four months of 1970. */
const SECONDS = { least: 100_000_000, below: 10_000_000_000 };

const NO_DATE = 'is not a valid date';
const NO_ISO = 'is not ISO 8601: give a Date, or text such as 2026-01-31T12:00:00.000Z';
const IN_SECONDS = 'is a number of seconds: give milliseconds (times 1000), a Date or ISO 8601 text';
const TOO_FINE = 'is a number of microseconds or less: give milliseconds, a Date or ISO 8601 text';

/**
 * The moment as it is sent: a valid `Date`, which `JSON.stringify` writes as ISO 8601 with milliseconds in UTC, or that
 * text itself. Takes a `Date` of any realm, ISO 8601 text, milliseconds since 1970, Temporal, and whatever writes
 * itself (`toJSON`) as one of these. Never throws: what is wrong is returned.
 */
export function momentOf(given: unknown): Date | string | ValidationError {
  try {
    if (typeof given === 'string') return momentOfText(given);
    if (types.isDate(given)) return momentAt(Date.prototype.getTime.call(given));
    if (typeof given === 'number') return momentOfNumber(given);
    if (typeof given === 'object' && given !== null) return momentOfObject(given);
  } catch {
    // A getter or toJSON() of the caller's threw.
  }
  return wrong(NO_DATE);
}

/** Temporal's moments have their milliseconds; its dates, and the objects of other libraries, only their text. */
function momentOfObject(given: object): Date | string | ValidationError {
  const { epochMilliseconds, toJSON } = given as { epochMilliseconds?: unknown; toJSON?: unknown };
  if (typeof epochMilliseconds === 'number') return momentAt(epochMilliseconds);
  const written: unknown = typeof toJSON === 'function' ? toJSON.call(given, 'timestamp') : undefined;
  if (typeof written === 'string') return momentOfText(written);
  return typeof written === 'number' ? momentOfNumber(written) : wrong(NO_DATE);
}

function momentOfNumber(milliseconds: number): Date | ValidationError {
  const size = Math.abs(milliseconds);
  if (size >= SECONDS.least && size < SECONDS.below) return wrong(IN_SECONDS);
  return size >= YEAR_10000_MS && size < Infinity ? wrong(TOO_FINE) : momentAt(milliseconds);
}

function momentOfText(text: string): string | ValidationError {
  if (CANONICAL.test(text)) return text;
  const time = timeOf(text);
  if (time !== undefined && !Number.isNaN(time)) return new Date(time).toISOString();
  // What only V8 reads means another moment to everybody else, or none.
  const isOnlyMisread = time === undefined && !Number.isNaN(new Date(text).getTime());
  return wrong(isOnlyMisread ? NO_ISO : NO_DATE);
}

/** A copy: what the caller does to a Date after the call is not sent. */
function momentAt(time: number): Date | ValidationError {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? wrong(NO_DATE) : date;
}

function wrong(problem: string): ValidationError {
  return new ValidationError('.timestamp', problem);
}

const DATE = String.raw`(?<year>\d{4}|[+-]\d{6})(?:-?W(?<week>\d\d)(?:-?(?<weekday>\d))?|-?(?<ordinal>\d{3})|-(?<month>\d\d)(?:-(?<day>\d\d))?|(?<basicMonth>\d\d)(?<basicDay>\d\d))?`;
const TIME = String.raw`(?<hour>\d\d)(?:(?<colon>:?)(?<minute>\d\d)(?:\k<colon>(?<second>\d\d))?)?(?:[.,](?<fraction>\d+))?`;
const ZONE = String.raw`(?<zone>[Zz]|(?<sign>[+-])(?<zoneHour>\d\d)(?::?(?<zoneMinute>\d\d))?)`;
/** Of RFC 9557, as Temporal writes them: the name of the zone, the calendar. */
const ANNOTATIONS = String.raw`(?<annotations>(?:\[[^[\]]*\])*)`;
const MOMENT = new RegExp(`^${DATE}(?:(?<separator>[Tt ])${TIME}${ZONE}?)?${ANNOTATIONS}$`);
const ZONE_NAME = /\[[^=\]]*\]/;

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const SECOND_MS = 1_000;

type Parts = Readonly<Record<string, string | undefined>>;

/** Milliseconds since 1970; NaN for a day or a time that there is not, undefined for what is not ISO 8601. */
function timeOf(text: string): number | undefined {
  // The standard's own minus sign.
  const parts: Parts | undefined = MOMENT.exec(text.replaceAll('\u2212', '-'))?.groups;
  if (parts === undefined || isWithoutOffset(parts)) return undefined;
  const midnight = midnightOf(parts);
  const { hour, second, zone } = parts;
  if (midnight === undefined) return Number.NaN;
  if (hour === undefined) return midnight.getTime();
  const time = timeOfDay(parts);
  if (time === undefined) return Number.NaN;
  const whole =
    zone === undefined
      ? localTime(midnight, time.seconds)
      : midnight.getTime() + time.seconds * SECOND_MS - offsetOf(parts);
  // A leap second is the last of a day in UTC. As in Unix time, it has the number of the one after it.
  return second === '60' && whole % DAY_MS !== 0 ? Number.NaN : whole + time.milliseconds;
}

/** A space in the place of the T is RFC 3339's, which has no time without an offset; nor has RFC 9557 a zone's name. */
function isWithoutOffset({ zone, separator, annotations = '' }: Parts): boolean {
  return zone === undefined && (separator === ' ' || ZONE_NAME.test(annotations));
}

/** The day's beginning in UTC; undefined for a day that there is not. */
function midnightOf(parts: Parts): Date | undefined {
  const { year: yearText = '', week, weekday = '1', ordinal } = parts;
  if (yearText === '-000000') return undefined;
  const year = Number(yearText);
  if (week !== undefined) return midnightOfWeek(year, Number(week), Number(weekday));
  if (ordinal !== undefined) {
    const date = midnightAt(year, 0, Number(ordinal));
    return Number(ordinal) >= 1 && date.getUTCFullYear() === year ? date : undefined;
  }
  const month = Number(parts['month'] ?? parts['basicMonth'] ?? 1) - 1;
  const day = Number(parts['day'] ?? parts['basicDay'] ?? 1);
  const date = midnightAt(year, month, day);
  return date.getUTCMonth() === month && date.getUTCDate() === day ? date : undefined;
}

/** A week belongs to the year that its Thursday is in. */
function midnightOfWeek(year: number, week: number, weekday: number): Date | undefined {
  const isDay = week >= 1 && weekday >= 1 && weekday <= 7;
  const fourth = midnightAt(year, 0, 4);
  const monday = 4 - ((fourth.getUTCDay() + 6) % 7) + (week - 1) * 7;
  const isOfYear = midnightAt(year, 0, monday + 3).getUTCFullYear() === year;
  return isDay && isOfYear ? midnightAt(year, 0, monday + weekday - 1) : undefined;
}

/** Not `Date.UTC()`, to which the years up to 99 are those of the last century. */
function midnightAt(year: number, month: number, day: number): Date {
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  return date;
}

/** Seconds and milliseconds since midnight; undefined for a time that there is not. */
function timeOfDay(parts: Parts): { seconds: number; milliseconds: number } | undefined {
  const { hour = '', minute, second, fraction = '0' } = parts;
  const [hours, minutes, seconds] = [Number(hour), Number(minute ?? 0), Number(second ?? 0)];
  // The fraction is of the last unit that is there; its digits may be more than a number can hold.
  const unit = second === undefined ? (minute === undefined ? HOUR_MS : MINUTE_MS) : SECOND_MS;
  const digits = fraction.slice(0, 18);
  const more = Number((BigInt(digits) * BigInt(unit)) / 10n ** BigInt(digits.length));
  const isMidnight = hours === 24 && minutes === 0 && seconds === 0 && /^0+$/.test(fraction);
  if ((hours > 23 && !isMidnight) || minutes > 59 || seconds > 60) return undefined;
  const whole = hours * 3_600 + minutes * 60 + seconds + Math.floor(more / SECOND_MS);
  return { seconds: whole, milliseconds: more % SECOND_MS };
}

/** Milliseconds ahead of UTC. */
function offsetOf({ sign, zoneHour = '0', zoneMinute = '0' }: Parts): number {
  const [hours, minutes] = [Number(zoneHour), Number(zoneMinute)];
  if (hours > 23 || minutes > 59) return Number.NaN;
  return (hours * HOUR_MS + minutes * MINUTE_MS) * (sign === '-' ? -1 : 1);
}

/** Where this process is. */
function localTime(day: Date, seconds: number): number {
  const date = new Date(2000, 0, 1);
  date.setFullYear(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate());
  return date.setHours(0, 0, seconds, 0);
}
