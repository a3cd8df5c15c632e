/**
 * Every documented behaviour of `@segment/analytics-node` 3.1, by chapter. A case is
 * `{ name, run(library, t) }`: `run` asserts what both packages do. With `differs`, `run` holds for this package
 * and `differs.run` for analytics-node, so that a new version of theirs shows. `alone`: it touches what the whole
 * process shares.
 */
import { cases as callbacks } from './cases/callbacks.mjs';
import { cases as clocks } from './cases/clocks.mjs';
import { cases as contexts } from './cases/contexts.mjs';
import { cases as events } from './cases/events.mjs';
import { cases as exported } from './cases/exported.mjs';
import { cases as failures } from './cases/failures.mjs';
import { cases as flushing } from './cases/flushing.mjs';
import { cases as httpClients } from './cases/http-clients.mjs';
import { cases as instances } from './cases/instances.mjs';
import { cases as integrations } from './cases/integrations.mjs';
import { cases as listening } from './cases/listening.mjs';
import { cases as params } from './cases/params.mjs';
import { cases as pipeline } from './cases/pipeline.mjs';
import { cases as plugins } from './cases/plugins.mjs';
import { cases as processes } from './cases/processes.mjs';
import { cases as requests } from './cases/requests.mjs';
import { cases as responses } from './cases/responses.mjs';
import { cases as settings } from './cases/settings.mjs';
import { cases as shown } from './cases/shown.mjs';
import { cases as sizes } from './cases/sizes.mjs';
import { cases as tokens } from './cases/tokens.mjs';
import { cases as validation } from './cases/validation.mjs';
import { cases as values } from './cases/values.mjs';
import { cases as ways } from './cases/ways.mjs';

export const CHAPTERS = {
  exports: exported,
  settings,
  instance: instances,
  params,
  values,
  validation,
  sizes,
  request: requests,
  responses,
  oauth: tokens,
  way: ways,
  failures,
  httpClient: httpClients,
  callbacks,
  events,
  listeners: listening,
  context: contexts,
  'ctx.event': shown,
  plugins,
  pipeline,
  integrations,
  flush: flushing,
  process: processes,
  clocks,
};

/** All cases, with the title that the documents use for them. */
export const BEHAVIOURS = Object.entries(CHAPTERS).flatMap(([chapter, cases]) =>
  cases.map((known) => ({ ...known, title: `${chapter}: ${known.name}` })),
);
export const DIFFERENCES = BEHAVIOURS.filter(({ differs }) => differs !== undefined);
