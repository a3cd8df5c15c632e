/** The `redact` option: what must not be kept is gone before anything is. */
import { AnalyticsError, invalidOption } from './errors.js';
import { nearest } from './nearest.js';
import type { SegmentEvent } from './params.js';

/** Paths whose values are replaced, or a function of a copy of the event. */
export type Redact = readonly string[] | ((event: SegmentEvent) => SegmentEvent);

const REDACTED = '[redacted]';

/** Makes a function of it. It may change the event it is given: that one is a copy. */
export function redactor(redact: Redact): (event: SegmentEvent) => SegmentEvent {
  if (typeof redact === 'function') return redact;
  if (!Array.isArray(redact) || !redact.every((path) => typeof path === 'string' && path !== '')) {
    throw invalidOption('redact', "a function or an array of paths such as 'properties.ssn'");
  }
  const paths = (redact as readonly string[]).map((path) => path.split('.'));
  for (const path of paths) checkPath(path);
  return (event) => {
    for (const path of paths) replaceAt(event, path);
    return event;
  };
}

/** What events have, and whether there is anything below it. */
const OBJECTS = ['properties', 'traits', 'context', 'integrations'];
const TEXTS = [
  'userId',
  'anonymousId',
  'groupId',
  'previousId',
  'event',
  'category',
  'name',
  'type',
  'timestamp',
];

/** A path that leads nowhere hides nothing: what it was to keep back would be sent. */
function checkPath([root = '', ...below]: readonly string[]): void {
  if (root === 'messageId')
    throw invalidOption('redact', 'without messageId: Segment drops all but one of an id');
  const isThere = OBJECTS.includes(root) || (TEXTS.includes(root) && below.length === 0);
  if (!isThere) throw leadsNowhere(root, below);
  const isSlip = below.some((key) => key === '' || key.includes('['));
  if (isSlip) throw invalidOption('redact', "paths with dots only, such as 'properties.items.*.ssn'");
}

function leadsNowhere(root: string, below: readonly string[]): AnalyticsError {
  const meant = nearest(root, below.length === 0 ? [...OBJECTS, ...TEXTS] : OBJECTS);
  const hint =
    meant === undefined
      ? `Paths begin with ${OBJECTS.join(', ')}`
      : `Did you mean ${[meant, ...below].join('.')}`;
  const text = `The option redact has a path that leads nowhere: ${[root, ...below].join('.')}. ${hint}`;
  const end = meant === undefined ? ', or are an id or a name.' : '?';
  return new AnalyticsError('ERR_OPTION_INVALID', text + end, { field: 'redact' });
}

/** `*` stands for every member of an object or array. */
function replaceAt(target: unknown, [key, ...rest]: readonly string[]): void {
  if (key === undefined || typeof target !== 'object' || target === null) return;
  const holder = target as Record<string, unknown>;
  for (const name of key === '*' ? Object.keys(holder) : [key]) {
    if (!Object.hasOwn(holder, name)) continue;
    if (rest.length > 0) replaceAt(holder[name], rest);
    else holder[name] = REDACTED;
  }
}
