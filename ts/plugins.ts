/** Plugins, with the interfaces, order and error rules of analytics-node. Without one, no event comes here. */
import { Context, ContextCancelation } from './context.js';
import { ValidationError } from './errors.js';
import type { IntegrationsOptions, SegmentEvent, SegmentEventType } from './params.js';

export type PluginType = 'before' | 'enrichment' | 'destination' | 'after' | 'utility';

type Handler = (context: Context) => Promise<Context> | Context;

/** Something that sees events on their way. `Instance` is the `Analytics` it was registered with. */
export interface Plugin<Instance = unknown> extends Partial<Record<SegmentEventType, Handler>> {
  name: string;
  type: PluginType;
  version?: string;
  /** Further names under which `integrations` may switch a destination off. */
  alternativeNames?: string[];
  isLoaded: () => boolean;
  load: (context: Context, instance: Instance) => Promise<unknown>;
  unload?: (context: Context, instance: Instance) => unknown;
  ready?: () => Promise<unknown>;
}

/** The name under which `integrations` may keep an event from Segment itself. */
const SEGMENT = 'Segment.io';

/** What the pipeline made of an event. */
export type Passage = { kind: 'send' } | { kind: 'skip' } | { kind: 'cancel'; reason: unknown };

/** The plugins of one client. */
export class Plugins<Instance> {
  #plugins: Plugin<Instance>[] = [];
  /** The same by type: every event asks for them. */
  #ofType = new Map<PluginType, Plugin<Instance>[]>();
  #loading: Promise<unknown> = Promise.resolve();

  get isEmpty(): boolean {
    return this.#plugins.length === 0;
  }

  /** Adds and loads plugins. One whose `load` fails is taken out again; it harms nobody else. */
  async register(given: readonly Plugin<Instance>[], instance: Instance, warn: Warn): Promise<void> {
    const plugins = given.filter(isObject);
    this.#change([...this.#plugins, ...plugins]);
    const load = async (plugin: Plugin<Instance>) => {
      try {
        await plugin.load(Context.system(), instance);
      } catch (error) {
        warn(`Plugin ${plugin.name} failed to load and was removed.`, error);
        this.#change(this.#plugins.filter((known) => known !== plugin));
      }
    };
    const loads = plugins.map((plugin) => ({ plugin, loaded: load(plugin) }));
    // Events wait for what may change them, not for other destinations.
    const awaited = loads.filter(({ plugin }) => plugin.type !== 'destination').map(({ loaded }) => loaded);
    this.#loading = Promise.all([this.#loading, ...awaited]);
    await Promise.all(awaited);
    if (plugins.length < given.length) throw new ValidationError('A plugin', 'is not an object');
  }

  /** Unloads and removes plugins by name. */
  async deregister(names: readonly string[], instance: Instance, warn: Warn): Promise<void> {
    for (const plugin of this.#plugins.filter(({ name }) => names.includes(name))) {
      try {
        await plugin.unload?.(Context.system(), instance);
      } catch (error) {
        warn(`Plugin ${plugin.name} failed to unload.`, error);
      }
    }
    this.#change(this.#plugins.filter(({ name }) => !names.includes(name)));
  }

  /** Before and enrichment plugins, in order. The context may be another one afterwards. */
  async prepare(context: Context): Promise<{ context: Context; passage: Passage }> {
    // More may be registered meanwhile: nothing passes a plugin that is not ready for it.
    for (let loading; loading !== this.#loading;) {
      loading = this.#loading;
      await loading;
    }
    let current = context;
    for (const plugin of this.#of('before')) {
      try {
        const result = call(plugin, current);
        current = contextIn(isPromise(result) ? await result : result, current);
      } catch (reason) {
        return { context: current, passage: { kind: 'cancel', reason } };
      }
    }
    for (const plugin of this.#of('enrichment')) {
      try {
        const result = call(plugin, current);
        current = contextIn(isPromise(result) ? await result : result, current);
      } catch (error) {
        note(current, plugin, error);
      }
    }
    const isExcluded = excludesSegment((current.event as SegmentEvent | null)?.integrations);
    return { context: current, passage: { kind: isExcluded ? 'skip' : 'send' } };
  }

  /** The other destinations, side by side; undefined without any. Their errors stay theirs. */
  deliver(context: Context): Promise<void> | undefined {
    const destinations = this.#of('destination').filter(({ name, alternativeNames }) =>
      isEnabled(context, name, alternativeNames ?? []),
    );
    return destinations.length === 0 ? undefined : callAll(destinations, context);
  }

  /** Whether there are plugins for {@link Plugins.finish}. */
  get hasLast(): boolean {
    return this.#of('after').length > 0;
  }

  /** The plugins that come after delivery, side by side. Their errors stay theirs. */
  async finish(context: Context): Promise<void> {
    await callAll(this.#of('after'), context);
  }

  #of(type: PluginType): readonly Plugin<Instance>[] {
    return this.#ofType.get(type) ?? [];
  }

  #change(plugins: Plugin<Instance>[]): void {
    this.#plugins = plugins;
    this.#ofType = new Map();
    for (const plugin of plugins) this.#ofType.set(plugin.type, [...this.#of(plugin.type), plugin]);
  }
}

/** Says that a plugin failed. */
export type Warn = (message: string, error: unknown) => void;

async function callAll<Instance>(plugins: readonly Plugin<Instance>[], context: Context): Promise<void> {
  const guarded = async (plugin: Plugin<Instance>) => {
    try {
      await call(plugin, context);
    } catch (error) {
      note(context, plugin, error);
    }
  };
  await Promise.all(plugins.map(guarded));
}

function call<Instance>(plugin: Plugin<Instance>, context: Context): unknown {
  return plugin[context.event.type]?.(context);
}

function isObject(plugin: unknown): boolean {
  return typeof plugin === 'object' && plugin !== null;
}

function isPromise(result: unknown): result is PromiseLike<unknown> {
  return typeof (result as Partial<PromiseLike<unknown>> | null | undefined)?.then === 'function';
}

/** What a plugin returned counts only if it is a context. */
function contextIn(result: unknown, current: Context): Context {
  return result instanceof Context ? result : current;
}

function note<Instance>(context: Context, plugin: Plugin<Instance>, error: unknown): void {
  const level = error instanceof ContextCancelation ? 'warn' : 'error';
  context.log(level, 'plugin failed', { plugin: plugin.name, error });
}

/** Whether an event is not for Segment itself. `All: false` is about the others. */
export function excludesSegment(integrations: object | null | undefined): boolean {
  return integrations !== undefined && (integrations as IntegrationsOptions | null)?.[SEGMENT] === false;
}

function isEnabled(context: Context, name: string, alternatives: readonly string[]): boolean {
  // Other plugins may have made anything of the event.
  const integrations = (context.event as SegmentEvent | null)?.integrations ?? {};
  const named = [name, ...alternatives]
    .map((known) => integrations[known])
    .find((value) => value !== undefined);
  return (named ?? integrations.All) !== false;
}
