/** Options of the module, and the client that they make. */
import { isMainThread } from 'node:worker_threads';

import type { Provider } from '@nestjs/common';

import { Analytics } from '../analytics.js';
import { AnalyticsError, invalidOption } from '../errors.js';
import { optionNames, requireKnown, type OptionsPlace } from '../known-options.js';
import {
  SETTINGS,
  settingsFromEnvironment,
  withoutEmpty,
  type AnalyticsSettings,
  type SettingsOverrides,
} from '../options.js';
import type { AmbientContext } from './ambient-context.js';
import { DEFAULT_CLIENT, logInNest, type NestLog } from './log.js';
import type { RequestContextOptions } from './request-context.js';
import type { ServiceSetup } from './service.js';

/** Milliseconds: well below the 30 s that orchestrators wait before they kill. */
const SHUTDOWN_TIMEOUT_MS = 10_000;

/**
 * Options of a client. Everything that `Analytics` takes; what is missing comes from `SEGMENT_WRITE_KEY` (default
 * client only), `SEGMENT_HOST`, `SEGMENT_REGION`, `SEGMENT_SPOOL_DIR` and `SEGMENT_DISABLE`.
 */
export interface SegmentModuleOptions extends SettingsOverrides {
  /** False: calls are checked and counted, nothing is sent and no write key is needed. @default true */
  enabled?: boolean | undefined;
  /** Sends nothing and logs of each event its type, and the names of its properties or traits. @default false */
  dryRun?: boolean | undefined;
  /** Milliseconds that the application's shutdown may wait for delivery. @default 10000 */
  shutdownTimeout?: number | undefined;
  /** Asked at each call for what the call itself and `SegmentContext` leave open, e.g. with nestjs-cls. */
  contextProvider?: (() => AmbientContext | undefined) | undefined;
}

/** Options that shape the module itself, and so can't come from a factory. */
export interface SegmentModuleExtras {
  /** Injectable everywhere without importing the module again. @default true */
  isGlobal?: boolean | undefined;
  /** A client of its own, injected with `@InjectSegment(name)`. */
  name?: string | undefined;
  /** Adds to each call made while a request is handled whose it is and where it came from. @default false */
  requestContext?: boolean | RequestContextOptions | undefined;
  /** Providers that an options factory needs. */
  extraProviders?: Provider[] | undefined;
}

const OWN_OPTIONS = optionNames<Omit<SegmentModuleOptions, keyof SettingsOverrides>>({
  enabled: true,
  dryRun: true,
  shutdownTimeout: true,
  contextProvider: true,
});
/** The names of options that shape the module. */
export const EXTRAS = optionNames<SegmentModuleExtras>({
  isGlobal: true,
  name: true,
  requestContext: true,
  extraProviders: true,
});
const OPTIONS = [...SETTINGS, ...OWN_OPTIONS];
/** Whether it is an option of the client, and not of the module. */
export const isOfClient = (name: string): boolean => OPTIONS.includes(name);
/** What a factory gives comes too late to shape the module. */
const OPTIONS_PLACE: OptionsPlace = {
  advice: (name) =>
    EXTRAS.includes(name) ? 'It stands beside useFactory, not in what that returns.' : undefined,
};

/** For `useClass` and `useExisting`. */
export interface SegmentOptionsFactory {
  createSegmentOptions(): SegmentModuleOptions | Promise<SegmentModuleOptions>;
}

/** @throws AnalyticsError `ERR_WRITE_KEY_MISSING` or `ERR_OPTION_INVALID`, so that the application does not start */
export function setUpClient(
  options: SegmentModuleOptions | undefined,
  name = DEFAULT_CLIENT,
  makeClient = (settings: AnalyticsSettings) => new Analytics(settings),
): ServiceSetup {
  requireKnown(options, OPTIONS, OPTIONS_PLACE);
  const given: SegmentModuleOptions = withoutEmpty(options ?? {});
  const { enabled, dryRun, shutdownTimeout, contextProvider, logger, ...settings } = given;
  requireSwitch('enabled', enabled);
  requireSwitch('dryRun', dryRun);
  requireTimeout(shutdownTimeout);
  if (contextProvider !== undefined && typeof contextProvider !== 'function') {
    throw invalidOption('contextProvider', 'a function');
  }
  const log = logInNest(logger, name, settings.logLevel);
  const isOff = enabled === false || dryRun === true;
  // What the code says wins over SEGMENT_DISABLE.
  const disable = isOff || (settings.disable ?? (enabled === true ? false : undefined));
  const resolved = settingsOf({ ...settings, disable }, name);
  const client = makeClient({
    // Nest's own hooks rule where they are enabled; without them a signal would lose what waits.
    flushOnSignal: isMainThread ? ['SIGTERM', 'SIGINT'] : [],
    ...resolved,
    logger: log.forEngine,
  });
  if (dryRun === true) logEvents(client, log);
  const isDisabled = resolved.disable === true;
  return {
    name,
    client,
    log,
    isDisabled,
    shutdownTimeout: shutdownTimeout ?? SHUTDOWN_TIMEOUT_MS,
    contextProvider,
  };
}

function settingsOf(settings: SettingsOverrides, name: string): AnalyticsSettings {
  // The environment's key is one source's: under another name its events would go to the wrong one.
  const { SEGMENT_WRITE_KEY: _key, ...others } = process.env;
  try {
    return settingsFromEnvironment(settings, name === DEFAULT_CLIENT ? process.env : others);
  } catch (error) {
    if (!(error instanceof AnalyticsError) || error.code !== 'ERR_WRITE_KEY_MISSING') throw error;
    throw new AnalyticsError(error.code, `${error.message}. ${adviceFor(name)}`, { field: 'writeKey' });
  }
}

function adviceFor(name: string): string {
  const toRunWithout = 'or enabled: false to run without Segment';
  return name === DEFAULT_CLIENT
    ? `Set it, or give SegmentModule a writeKey, ${toRunWithout}.`
    : `The environment's key is the default client's: give the client '${name}' a writeKey, ${toRunWithout}.`;
}

function logEvents(client: Analytics, log: NestLog): void {
  for (const type of ['identify', 'track', 'page', 'screen', 'group', 'alias'] as const) {
    client.on(type, ({ event }) => {
      // Names only: the values may be a customer's.
      const names = Object.keys(event.properties ?? event.traits ?? {});
      log.each('info', `${type} (dry run, not sent)`, names.length > 0 ? { with: names.join(', ') } : {});
    });
  }
}

function requireSwitch(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw invalidOption(name, 'true or false');
}

function requireTimeout(value: unknown): void {
  const isTimeout = typeof value === 'number' && value >= 0;
  if (value !== undefined && !isTimeout) throw invalidOption('shutdownTimeout', 'milliseconds, 0 or more');
}
