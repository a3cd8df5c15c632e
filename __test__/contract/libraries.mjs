/** The two packages that keep one contract. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

const library = (name) => {
  const { Analytics, Context, FetchHTTPClient } = require(name);
  return { name, Analytics, Context, FetchHTTPClient };
};

export const THEIRS = library('@segment/analytics-node');
export const OURS = library('@companion/segment');

/** Said of a row of the contract that analytics-node breaks. */
export const DEFECT = 'defect of theirs';
/** Said of a row in which this package wants to be different. */
export const DELIBERATE = 'deliberate';
