/** Text that nobody can see: Segment throws away ids and names of it, and in a write key it is a slip. */

/**
 * Every space and line end of Unicode (`White_Space`), and the characters without any width that come along when text is
 * copied. `trim()` knows neither U+0085 nor most of the latter.
 */
const INVISIBLE = String.raw`\p{White_Space}\u180E\u200B-\u200D\u2060\uFEFF`;
const BLANK = new RegExp(`^[${INVISIBLE}]*$`, 'u');
const AROUND = new RegExp(`^[${INVISIBLE}]+|[${INVISIBLE}]+$`, 'gu');
const INSIDE = new RegExp(String.raw`[${INVISIBLE}\p{Cc}]`, 'u');

/** Whether there is nothing to see in it. */
export function isBlank(text: string): boolean {
  const first = text.charCodeAt(0);
  // Nearly every text begins with a visible character of ASCII: it costs two comparisons.
  return !(first > 0x20 && first < 0x7f) && BLANK.test(text);
}

/** The text without what is invisible around it. */
export function trimmed(text: string): string {
  return text.replaceAll(AROUND, '');
}

/** Whether there is anything in it that can't be seen, control characters included. */
export function hasInvisible(text: string): boolean {
  return INSIDE.test(text);
}
