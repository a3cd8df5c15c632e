/** `POST /api/webhook` in a NestJS application. */
import {
  ConfigurableModuleBuilder,
  Controller,
  HttpCode,
  Inject,
  Logger,
  Module,
  Post,
  Req,
  Res,
  type ConfigurableModuleAsyncOptions,
  type ConfigurableModuleCls,
  type DynamicModule,
  type NestModule,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { IncomingMessage } from 'node:http';

import { Analytics } from '../../analytics.js';
import { bindMembers } from '../../bound.js';
import { invalidOption } from '../../errors.js';
import { optionNames, requireKnown, type OptionsPlace } from '../../known-options.js';
import { ASYNC_MODULE_OPTIONS } from '../../nestjs/async-options.js';
import { getSegmentToken } from '../../nestjs/tokens.js';
import type { SegmentService } from '../../nestjs/service.js';
import { EngineSegmentClient, settingAdvice } from '../client.js';
import { NotificationReceiver, RECEIVER_OPTIONS, type ReceiverOptions } from '../receiver.js';
import type { WebhookAuthentication } from './authentication.js';
import { readBodies } from './body.js';
import { WebhookHandler } from './handler.js';

/** A message of 256 KB, escaped in the envelope of SNS. */
const MAX_BYTES = 768 * 1024;
/** Beyond this, timers of Node fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647;
const DEFAULT_PATH = 'api/webhook';
const PATH = 'COMMERCETOOLS_WEBHOOK_PATH';

/** Options of the webhook. Without a `client` it is that of `SegmentModule`, else the environment's. */
export interface CommercetoolsWebhookOptions extends ReceiverOptions {
  /** How senders prove who they are. There is no default: an open webhook has to be asked for. */
  readonly authentication: WebhookAuthentication;
  /**
   * Milliseconds after which a sender is answered with a 500 although delivery goes on; for the client of
   * `SegmentModule`. SNS itself gives up after 15 s. @default 12000
   */
  readonly callTimeout?: number | undefined;
}

/** Options that shape the module itself, and so can't come from a factory. */
export interface CommercetoolsWebhookExtras {
  /** Where it listens, below the global prefix if there is one. @default 'api/webhook' */
  path?: string | undefined;
  /** The name of the client of `SegmentModule`. @default the one without a name */
  clientName?: string | undefined;
}

const EXTRAS = optionNames<CommercetoolsWebhookExtras>({ path: true, clientName: true });
const OPTIONS = [...RECEIVER_OPTIONS, 'authentication', 'callTimeout'];
const ASYNC_OPTIONS = [...ASYNC_MODULE_OPTIONS, ...EXTRAS];
const WEBHOOK: OptionsPlace = { advice: settingAdvice('SegmentModule.forRoot()') };

const built = new ConfigurableModuleBuilder<CommercetoolsWebhookOptions>({
  moduleName: 'CommercetoolsWebhook',
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createCommercetoolsWebhookOptions')
  .setExtras<CommercetoolsWebhookExtras>({ path: undefined, clientName: undefined }, withWebhook)
  .build();
const { MODULE_OPTIONS_TOKEN } = built;
/** With its type written out: what the compiler would write into declarations, TypeScript before 5.3 can't read. */
const ConfigurableModuleClass: ConfigurableModuleCls<
  CommercetoolsWebhookOptions,
  'forRoot',
  'createCommercetoolsWebhookOptions',
  CommercetoolsWebhookExtras
> = built.ConfigurableModuleClass;

/**
 * Receives notifications of Commercetools. Answers 200 for what is done or ignored, 400 for what is no notification, 401
 * or 403 for strangers, and 500 when Segment did not take the customer; details are in the log only. Global guards of
 * the application apply.
 */
@Module({})
export class CommercetoolsWebhookModule extends ConfigurableModuleClass implements NestModule {
  readonly #path: string;
  readonly #adapterHost: HttpAdapterHost;
  #readsBodies = false;

  constructor(@Inject(PATH) path: string, @Inject(HttpAdapterHost) adapterHost: HttpAdapterHost) {
    super();
    bindMembers(this, CommercetoolsWebhookModule.prototype);
    this.#path = path;
    this.#adapterHost = adapterHost;
    // Before Nest adds its body parsers. A testing module gets its adapter later; Nest 10 does not tell when.
    this.#readBodies();
    (adapterHost as Partial<HttpAdapterHost>).init$?.subscribe(() => this.#readBodies());
  }

  /** @throws AnalyticsError `ERR_OPTION_INVALID` for an option that does not exist */
  static override forRoot(
    options: CommercetoolsWebhookOptions & Partial<CommercetoolsWebhookExtras>,
  ): DynamicModule {
    requireKnown(options, [...OPTIONS, ...EXTRAS], WEBHOOK);
    return super.forRoot(options);
  }

  /** The same, with options that come from a factory. */
  static override forRootAsync(
    options: ConfigurableModuleAsyncOptions<
      CommercetoolsWebhookOptions,
      'createCommercetoolsWebhookOptions'
    > &
      Partial<CommercetoolsWebhookExtras>,
  ): DynamicModule {
    requireKnown(options, ASYNC_OPTIONS);
    return super.forRootAsync(options);
  }

  configure(): void {
    this.#readBodies();
  }

  #readBodies(): void {
    if (this.#readsBodies) return;
    this.#readsBodies = readBodies(this.#adapterHost.httpAdapter, this.#path, MAX_BYTES);
  }
}

function withWebhook(definition: DynamicModule, extras: CommercetoolsWebhookExtras): DynamicModule {
  if (typeof (extras.path ?? '') !== 'string') throw invalidOption('path', 'text such as api/webhook');
  const path = (extras.path ?? DEFAULT_PATH).replace(/^\/+|\/+$/g, '');
  const handler = {
    provide: WebhookHandler,
    useFactory: (options: CommercetoolsWebhookOptions, service?: SegmentService) => {
      requireKnown(options, OPTIONS, WEBHOOK);
      const { authentication, callTimeout, logger = new Logger(), ...others } = options;
      const client = others.client ?? clientOf(service, callTimeout);
      return new WebhookHandler(
        new NotificationReceiver({ ...others, client, logger }),
        authentication,
        logger,
      );
    },
    // Somebody who gives a name means that client and no other.
    inject: [
      MODULE_OPTIONS_TOKEN,
      { token: getSegmentToken(extras.clientName), optional: extras.clientName === undefined },
    ],
  };
  return {
    ...definition,
    controllers: [controllerAt(path)],
    providers: [...(definition.providers ?? []), { provide: PATH, useValue: path }, handler],
    exports: [WebhookHandler],
  };
}

function clientOf(service: SegmentService | undefined, callTimeout?: number): ReceiverOptions['client'] {
  const isTimeout = typeof callTimeout === 'number' && callTimeout >= 1 && callTimeout <= LONGEST_TIMER_MS;
  if (callTimeout !== undefined && !isTimeout) {
    throw invalidOption('callTimeout', `a number of milliseconds from 1 to ${LONGEST_TIMER_MS}`);
  }
  if (service === undefined) return undefined;
  // Not the service: its calls would take on the context of the sender's request. A test's double may have no client.
  const { client } = service;
  return client instanceof Analytics ? new EngineSegmentClient(client, callTimeout) : service;
}

/** What Express's and Fastify's have in common. */
interface WebhookResponse {
  status(code: number): unknown;
  header(name: string, value: string): unknown;
}

function controllerAt(path: string): Type {
  @Controller(path)
  class CommercetoolsWebhookController {
    readonly #handler: WebhookHandler;

    constructor(@Inject(WebhookHandler) handler: WebhookHandler) {
      this.#handler = handler;
    }

    @Post()
    @HttpCode(200)
    async receive(
      // Not the body alone: pipes of the application have no business with it.
      @Req() request: Pick<IncomingMessage, 'headers'> & { body?: unknown },
      @Res({ passthrough: true }) response: WebhookResponse,
    ): Promise<object> {
      const { status, headers = {}, body } = await this.#handler.handle(request.headers, request.body);
      response.status(status);
      for (const [name, value] of Object.entries(headers)) response.header(name, value);
      return body;
    }
  }
  return CommercetoolsWebhookController;
}
