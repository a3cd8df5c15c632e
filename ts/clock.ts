/**
 * Time as Node has it, whatever tests have put in the place of the globals. What happens off this thread can't follow a
 * fake clock, so nothing that waits for it may stand still with one; what callers see of time follows their `Date`.
 */
import { performance } from 'node:perf_hooks';
import * as timers from 'node:timers';

export const { setImmediate, setInterval, setTimeout, clearInterval, clearTimeout } = timers;

/** Milliseconds of a clock that only goes forward. */
export const monotonicNow: () => number = performance.now.bind(performance);

/** The `Date` of this realm; undefined where it was replaced before this file was loaded. */
const NATIVE_DATE = Function.prototype.toString.call(Date).includes('[native code]') ? Date : undefined;

/** Whether the caller's `Date` is not the one whose time the engine writes. */
export function isDateReplaced(): boolean {
  return Date !== NATIVE_DATE;
}

let atEnd: (() => void)[] = [];

/** Calls back once the turn of the event loop that is going on has come to its end. */
export function atTurnEnd(call: () => void): void {
  if (atEnd.length === 0) setImmediate(endTurn);
  atEnd.push(call);
}

function endTurn(): void {
  const calls = atEnd;
  atEnd = [];
  for (const call of calls) call();
}
