/** The module: clients as providers, and the scope of requests. */
import {
  ConfigurableModuleBuilder,
  Inject,
  Module,
  Optional,
  type ConfigurableModuleAsyncOptions,
  type ConfigurableModuleCls,
  type DynamicModule,
  type NestModule,
  type Provider,
} from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';

import { bindMembers } from '../bound.js';
import { invalidOption } from '../errors.js';
import { requireKnown, type OptionsPlace } from '../known-options.js';
import { SegmentHealthIndicator } from './health.js';
import { ASYNC_MODULE_OPTIONS } from './async-options.js';
import {
  EXTRAS,
  isOfClient,
  setUpClient,
  type SegmentModuleExtras,
  type SegmentModuleOptions,
} from './options.js';
import { checkRequestContext, type HttpRequest, type RequestContextOptions } from './request-context.js';
import { SegmentContextMiddleware } from './request-scope.js';
import { SegmentService } from './service.js';
import { getSegmentToken } from './tokens.js';

/** Options of the request's scope, where the module has one. */
const REQUEST_CONTEXT = 'SEGMENT_REQUEST_CONTEXT';

/** Everything that a client may be given here and now. */
export type SegmentModuleSyncOptions = SegmentModuleOptions & Partial<SegmentModuleExtras>;
/** A factory for the options: `useFactory` and `inject`, `useClass` or `useExisting`; `imports`, `extraProviders`. */
export type SegmentModuleAsyncOptions = ConfigurableModuleAsyncOptions<
  SegmentModuleOptions,
  'createSegmentOptions'
> &
  Partial<SegmentModuleExtras>;

const built = new ConfigurableModuleBuilder<SegmentModuleOptions>({ moduleName: 'Segment' })
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createSegmentOptions')
  .setExtras<SegmentModuleExtras>(
    { isGlobal: true, name: undefined, requestContext: undefined, extraProviders: undefined },
    withClient,
  )
  .build();
const { MODULE_OPTIONS_TOKEN } = built;
/** With its type written out: what the compiler would write into declarations, TypeScript before 5.3 can't read. */
const ConfigurableModuleClass: ConfigurableModuleCls<
  SegmentModuleOptions,
  'forRoot',
  'createSegmentOptions',
  SegmentModuleExtras
> = built.ConfigurableModuleClass;

const ASYNC_OPTIONS = [...ASYNC_MODULE_OPTIONS, ...EXTRAS];
const ASYNC_PLACE: OptionsPlace = {
  advice: (name) => (isOfClient(name) ? 'It is one of those that useFactory returns.' : undefined),
};

/** The same, with the name that a further client needs. */
export type Named<Options> = Options & { name: string };

/**
 * Makes `SegmentService` injectable. Global unless `isGlobal` is false. The application does not start with options
 * that can't work (`ERR_WRITE_KEY_MISSING`, `ERR_OPTION_INVALID`).
 */
@Module({})
export class SegmentModule extends ConfigurableModuleClass implements NestModule {
  readonly #requestContext: RequestContextOptions | undefined;
  readonly #adapterHost: HttpAdapterHost | undefined;

  constructor(
    @Optional() @Inject(REQUEST_CONTEXT) requestContext?: RequestContextOptions,
    @Optional() @Inject(HttpAdapterHost) adapterHost?: HttpAdapterHost,
    @Optional() @Inject(ModulesContainer) modules?: ModulesContainer,
  ) {
    super();
    if (modules !== undefined) closeLastInNest10(modules);
    this.#requestContext = requestContext;
    this.#adapterHost = adapterHost;
    bindMembers(this, SegmentModule.prototype);
  }

  /** One client, or several of which all but one have a `name`. Without options, from the environment. */
  static override forRoot(
    options: SegmentModuleSyncOptions | readonly SegmentModuleSyncOptions[] = {},
  ): DynamicModule {
    return isList(options) ? together(options.map((one) => super.forRoot(one))) : super.forRoot(options);
  }

  /** One client, or several, whose options come from factories. */
  static override forRootAsync(
    options: SegmentModuleAsyncOptions | readonly SegmentModuleAsyncOptions[],
  ): DynamicModule {
    const make = (one: SegmentModuleAsyncOptions) => {
      requireKnown(one, ASYNC_OPTIONS, ASYNC_PLACE);
      return super.forRootAsync(one);
    };
    return isList(options) ? together(options.map(make)) : make(options);
  }

  /** A further client, injected with `@InjectSegment(name)`. */
  static registerClient(options: Named<SegmentModuleSyncOptions>): DynamicModule {
    requireName(options.name ?? '');
    return super.forRoot(options);
  }

  /** A further client whose options come from a factory. */
  static registerClientAsync(options: Named<SegmentModuleAsyncOptions>): DynamicModule {
    requireName(options.name ?? '');
    return this.forRootAsync(options);
  }

  /** Nest calls it before it makes the routes; it begins the scope of requests where `requestContext` asks for that. */
  configure(): void {
    if (this.#requestContext === undefined) return;
    const middleware = new SegmentContextMiddleware(this.#requestContext);
    const enter: Enter = (request, response, next) => middleware.use(request, response, next);
    const adapter = this.#adapterHost?.httpAdapter;
    // Not `consumer.forRoutes()`: its patterns differ between versions of Nest and leave out routes without the prefix.
    if (adapter?.getType() !== 'fastify') adapter?.use(enter);
    // After the body was read: what reads it need not keep the scope.
    else adapter.getInstance<FastifyInstance>().addHook('preHandler', enter);
  }
}

/**
 * Nest 11 and later run the shutdown hooks of global modules last. Nest 10 runs those of the modules nearest to the
 * root last, and nothing is nearer than this.
 */
function closeLastInNest10(modules: ModulesContainer): void {
  const all = Array.from(modules.values());
  const putsGlobalsLast = all.some(({ distance }) => distance === Number.MAX_VALUE);
  if (putsGlobalsLast) return;
  for (const module of all) if (module.metatype === SegmentModule) module.distance = -1;
}

type Enter = (request: HttpRequest, response: unknown, next: () => void) => void;

/** What is used of Fastify. */
interface FastifyInstance {
  addHook(name: 'preHandler', hook: Enter): unknown;
}

/** Several clients behind one import. */
@Module({})
class SegmentClientsModule {}

function together(modules: DynamicModule[]): DynamicModule {
  return { module: SegmentClientsModule, imports: modules, exports: modules };
}

function isList<Item>(value: Item | readonly Item[]): value is readonly Item[] {
  return Array.isArray(value);
}

/** What the module of one client provides and exports, beside its options. */
function withClient(definition: DynamicModule, extras: SegmentModuleExtras): DynamicModule {
  const { isGlobal = true, name, requestContext, extraProviders = [] } = extras;
  requireName(name);
  const token = getSegmentToken(name);
  const client: Provider = {
    provide: token,
    useFactory: (options: SegmentModuleOptions) => new SegmentService(setUpClient(options, name)),
    inject: [MODULE_OPTIONS_TOKEN],
  };
  const exported = [client, ...(token === SegmentService ? [healthIndicator] : [])];
  const providers = [...(definition.providers ?? []), ...extraProviders, ...exported];
  return {
    ...definition,
    global: isGlobal,
    providers: [...providers, ...scopeProviders(requestContext)],
    exports: [...(definition.exports ?? []), ...exported],
  };
}

function requireName(name: unknown): void {
  const isName = typeof name === 'string' && name.trim() !== '';
  if (name !== undefined && !isName) throw invalidOption('name', 'text that is not blank');
}

const healthIndicator: Provider = {
  provide: SegmentHealthIndicator,
  useFactory: (service: SegmentService) => new SegmentHealthIndicator(service),
  inject: [SegmentService],
};

function scopeProviders(requestContext: SegmentModuleExtras['requestContext']): Provider[] {
  if (requestContext === undefined || requestContext === null || requestContext === false) return [];
  const options = requestContext === true ? {} : requestContext;
  checkRequestContext(options);
  return [{ provide: REQUEST_CONTEXT, useValue: options }];
}
