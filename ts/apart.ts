/** What a callback of the application throws is its own affair: nothing else is left out for it. */
export function apart(tell: () => void): void {
  try {
    tell();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
