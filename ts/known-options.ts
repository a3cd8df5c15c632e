/** An option that does not exist is refused: a slip of the keyboard must not change what is done. */
import { AnalyticsError, invalidOption } from './errors.js';
import { nearest } from './nearest.js';

/** Where options are, and where others are that may have been meant. */
export interface OptionsPlace {
  /** What they are members of: `requestContext` for `requestContext.userId`. @default the argument itself */
  path?: string;
  /** What to say of a name that is known elsewhere. */
  advice?: (name: string) => string | undefined;
}

/** The names of options, all of them: the compiler finds one that is missing. */
export function optionNames<Options>(names: Record<keyof Options, true>): readonly string[] {
  return Object.keys(names);
}

/**
 * `null` and `undefined` mean: not given, for the object and for its members.
 *
 * @throws AnalyticsError `ERR_OPTION_INVALID` for what is no object, and for the first name that is not known
 */
export function requireKnown(options: unknown, known: readonly string[], place: OptionsPlace = {}): void {
  if (options === undefined || options === null) return;
  if (typeof options !== 'object' || Array.isArray(options)) {
    throw invalidOption(place.path ?? 'options', `an object with some of ${known.join(', ')}`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && value !== null && !known.includes(name))
      throw unknownOption(name, known, place);
  }
}

/** The error for an option that does not exist. */
export function unknownOption(
  name: string,
  known: readonly string[],
  place: OptionsPlace = {},
): AnalyticsError {
  const { path, advice } = place;
  const pathOf = (member: string) => (path === undefined ? member : `${path}.${member}`);
  const meant = nearest(name, known);
  const hint = advice?.(name) ?? (meant === undefined ? undefined : `Did you mean ${pathOf(meant)}?`);
  const text = [`Unknown option ${pathOf(name)}.`, hint, 'The README lists all options.'];
  const message = text.filter((part) => part !== undefined).join(' ');
  return new AnalyticsError('ERR_OPTION_INVALID', message, { field: pathOf(name) });
}
