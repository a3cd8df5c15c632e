/** `@companion/segment/commercetools/nestjs`: the webhook for NestJS. */
export { WebhookHandler } from './handler.js';
export { CommercetoolsWebhookModule } from './module.js';

export type { WebhookAuthentication, WebhookRefusal } from './authentication.js';
export type { WebhookAnswer, WebhookStats } from './handler.js';
export type { CommercetoolsWebhookExtras, CommercetoolsWebhookOptions } from './module.js';
