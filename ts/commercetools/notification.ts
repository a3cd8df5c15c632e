/** From a raw notification to what it is. The reading itself is native code. */
import { parseNotification as parse } from '../native.js';
import type { CommercetoolsCustomer, ParsedNotification } from './types.js';

/**
 * Says what a notification is. Takes text, bytes or an object: a message or change in Commercetools' own format or as
 * a CloudEvent, the envelope of SNS around one, or the simplified payload. Never throws.
 */
export function parseNotification(raw: unknown): ParsedNotification {
  const text = textOf(raw);
  if (text === undefined) return { kind: 'invalid', reason: 'not-an-object' };
  return JSON.parse(parse(text)) as ParsedNotification;
}

/** The customer in a notification; `null` if there is none, for whatever reason. Never throws. */
export function extractCustomerFromPayload(payload: unknown): CommercetoolsCustomer | null {
  const parsed = parseNotification(payload);
  return parsed.kind === 'identify' ? parsed.customer : null;
}

/** A notification as text; `undefined` for what can't be written as JSON. */
export function textOf(raw: unknown): string | undefined {
  if (typeof raw === 'string') return raw;
  try {
    if (raw instanceof Uint8Array) return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString();
    return JSON.stringify(raw);
  } catch {
    return undefined;
  }
}
