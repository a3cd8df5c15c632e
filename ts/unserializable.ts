/** Why `JSON.stringify` failed: where in the event, and what to do. Paths only, never values. */
import { AnalyticsError } from './errors.js';

/** Enough for any event that could be sent; the search must not cost more than the event. */
const MAX_VISITS = 20_000;

/** The error for a message that could not be written. */
export function notSerializable(message: object): AnalyticsError {
  const { path, problem } = problemIn(message);
  const where = path === '' ? 'The event' : `The event's ${path}`;
  return new AnalyticsError('ERR_NOT_SERIALIZABLE', `${where} ${problem}`, { field: path || undefined });
}

interface Problem {
  path: string;
  problem: string;
}

interface Visit {
  holder: object;
  key: string;
  path: string;
  ancestors: readonly object[];
}

function problemIn(message: object): Problem {
  try {
    return findProblem(message);
  } catch {
    return { path: '', problem: 'can not be read. Give plain data.' };
  }
}

function findProblem(message: object): Problem {
  const open: Visit[] = childrenOf(message, '', []);
  for (let visits = 0; open.length > 0 && visits < MAX_VISITS; visits += 1) {
    const visit = open.pop() as Visit;
    const { path, ancestors } = visit;
    let value: unknown;
    try {
      value = valueOf(visit);
    } catch {
      return { path, problem: 'has a getter or toJSON() that throws. Give plain data.' };
    }
    if (typeof value === 'bigint')
      return { path, problem: 'is a BigInt. Convert it with String() or Number().' };
    if (typeof value !== 'object' || value === null) continue;
    if (ancestors.includes(value))
      return { path, problem: 'refers back to an object that holds it. Break the cycle.' };
    if (ancestors.length > 100) return { path: '', problem: 'nests more than 100 levels deep. Flatten it.' };
    try {
      open.push(...childrenOf(value, path, [...ancestors, value]));
    } catch {
      return { path, problem: 'can not be read. Give plain data.' };
    }
  }
  return { path: '', problem: 'can not be written as JSON. Give plain data.' };
}

function childrenOf(holder: object, path: string, ancestors: readonly object[]): Visit[] {
  const isArray = Array.isArray(holder);
  return Object.keys(holder)
    .slice(0, MAX_VISITS)
    .map((key) => ({ holder, key, path: isArray ? `${path}[${key}]` : join(path, key), ancestors }));
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

function valueOf({ holder, key }: Visit): unknown {
  const value: unknown = (holder as Record<string, unknown>)[key];
  if (typeof value !== 'object' || value === null) return value;
  const { toJSON } = value as { toJSON?: unknown };
  return typeof toJSON === 'function' ? (toJSON.call(value, key) as unknown) : value;
}
