/** The ESM entrance: the one CommonJS implementation, by name. */
export { CommercetoolsWebhookModule, WebhookHandler } from './index.js';
export type * from './index.js';
