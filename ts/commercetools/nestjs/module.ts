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
  type DynamicModule,
  type NestModule,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { IncomingMessage } from 'node:http';

import { getSegmentToken } from '../../nestjs/tokens.js';
import type { SegmentService } from '../../nestjs/service.js';
import { NotificationReceiver, type ReceiverOptions } from '../receiver.js';
import type { WebhookAuthentication } from './authentication.js';
import { readBodies } from './body.js';
import { WebhookHandler } from './handler.js';

/** A message of 256 KB, escaped in the envelope of SNS. */
const MAX_BYTES = 768 * 1024;
const DEFAULT_PATH = 'api/webhook';
const PATH = 'COMMERCETOOLS_WEBHOOK_PATH';

/** Options of the webhook. Without a `client` it is that of `SegmentModule`, else the environment's. */
export interface CommercetoolsWebhookOptions extends ReceiverOptions {
  /** How senders prove who they are. There is no default: an open webhook has to be asked for. */
  readonly authentication: WebhookAuthentication;
}

/** Options that shape the module itself, and so can't come from a factory. */
export interface CommercetoolsWebhookExtras {
  /** Where it listens, below the global prefix if there is one. @default 'api/webhook' */
  path?: string | undefined;
  /** The name of the client of `SegmentModule`. @default the one without a name */
  clientName?: string | undefined;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<CommercetoolsWebhookOptions>({ moduleName: 'CommercetoolsWebhook' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createCommercetoolsWebhookOptions')
    .setExtras<CommercetoolsWebhookExtras>({ path: undefined, clientName: undefined }, withWebhook)
    .build();

/**
 * Receives notifications of Commercetools. Answers 200 for what is done or ignored, 400 for what is no notification, 401
 * or 403 for strangers, and 500 when Segment did not take the customer; details are in the log only. Global guards of
 * the application apply.
 */
@Module({})
export class CommercetoolsWebhookModule extends ConfigurableModuleClass implements NestModule {
  readonly #path: string;
  readonly #adapterHost: HttpAdapterHost;
  readonly #readsBodies: boolean;

  constructor(@Inject(PATH) path: string, @Inject(HttpAdapterHost) adapterHost: HttpAdapterHost) {
    super();
    this.#path = path;
    this.#adapterHost = adapterHost;
    // Before Nest adds its body parsers. In a testing module there is no adapter yet.
    this.#readsBodies = readBodies(adapterHost.httpAdapter, path, MAX_BYTES);
  }

  configure(): void {
    if (!this.#readsBodies) readBodies(this.#adapterHost.httpAdapter, this.#path, MAX_BYTES);
  }
}

function withWebhook(definition: DynamicModule, extras: CommercetoolsWebhookExtras): DynamicModule {
  const path = (extras.path ?? DEFAULT_PATH).replace(/^\/+|\/+$/g, '');
  const handler = {
    provide: WebhookHandler,
    useFactory: (options: CommercetoolsWebhookOptions, service?: SegmentService) => {
      const logger = options.logger ?? new Logger();
      const receiver = new NotificationReceiver({ client: service?.client, ...options, logger });
      return new WebhookHandler(receiver, options.authentication, logger);
    },
    inject: [MODULE_OPTIONS_TOKEN, { token: getSegmentToken(extras.clientName), optional: true }],
  };
  return {
    ...definition,
    controllers: [controllerAt(path)],
    providers: [...(definition.providers ?? []), { provide: PATH, useValue: path }, handler],
    exports: [WebhookHandler],
  };
}

/** What Express's and Fastify's have in common. */
interface StatusResponse {
  status(code: number): unknown;
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
      @Res({ passthrough: true }) response: StatusResponse,
    ): Promise<object> {
      const { status, body } = await this.#handler.handle(request.headers, request.body);
      response.status(status);
      return body;
    }
  }
  return CommercetoolsWebhookController;
}
