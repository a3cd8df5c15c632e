/** The `redact` option: what must not be kept is gone before anything is. */
import { AnalyticsError } from './errors.js';
import type { SegmentEvent } from './params.js';
import { eventFrom } from './snapshot.js';

/** Paths whose values are replaced, or a function of a copy of the event. */
export type Redact = readonly string[] | ((event: SegmentEvent) => SegmentEvent);

const REDACTED = '[redacted]';

/** Makes a function of it, which takes a copy of an event and may change it. A function of the caller's is given JSON. */
export function redactor(redact: Redact): (event: SegmentEvent) => SegmentEvent {
  if (typeof redact === 'function') {
    return (event) => {
      const copy = JSON.parse(JSON.stringify(event)) as SegmentEvent;
      const redacted = redact(copy) ?? copy;
      return typeof redacted === 'object' ? eventFrom(redacted) : redacted;
    };
  }
  if (!Array.isArray(redact) || !redact.every((path) => typeof path === 'string' && path !== '')) {
    const limit = "a function or an array of paths such as 'properties.ssn'";
    throw new AnalyticsError('ERR_OPTION_INVALID', `The option redact must be ${limit}.`, {
      field: 'redact',
      limit,
    });
  }
  const paths = (redact as readonly string[]).map((path) => path.split('.'));
  return (event) => {
    for (const path of paths) replaceAt(event, path);
    return event;
  };
}

/** `*` stands for every member of an object or array. */
function replaceAt(target: unknown, [key, ...rest]: readonly string[]): void {
  if (key === undefined || typeof target !== 'object' || target === null) return;
  if (target instanceof Map) {
    for (const name of key === '*' ? target.keys() : [key]) {
      if (!target.has(name)) continue;
      if (rest.length > 0) replaceAt(target.get(name), rest);
      else target.set(name, REDACTED);
    }
  }
  const holder = target as Record<string, unknown>;
  for (const name of key === '*' ? Object.keys(holder) : [key]) {
    if (!Object.hasOwn(holder, name)) continue;
    if (rest.length > 0) replaceAt(holder[name], rest);
    else holder[name] = REDACTED;
  }
}
