/** What callers may and may not give to the six methods. Compiled, never run. */
import {
  type Analytics,
  type EventProperties,
  type MethodParams,
  type Receipt,
  type SegmentEvent,
} from '@companion/segment';

declare const analytics: Analytics;

// Either id, or both.
const accepted: boolean = analytics.track({ userId: 'u1', event: 'Ordered' });
analytics.track({ anonymousId: 'a1', event: 'Ordered' });
analytics.track({ userId: 'u1', anonymousId: 'a1', event: 'Ordered' });
analytics.identify({ anonymousId: 'a1' });
analytics.page({ userId: 'u1' });
analytics.screen({ anonymousId: 'a1', category: 'c', name: 'n' });
analytics.group({ userId: 'u1', groupId: 'g1' });
analytics.alias({ userId: 'u1', previousId: 'a1' });

// No id.
// @ts-expect-error userId or anonymousId is required
analytics.track({ event: 'Ordered' });
// @ts-expect-error userId or anonymousId is required
analytics.identify({ traits: {} });
// @ts-expect-error userId or anonymousId is required
analytics.page({ name: 'Home' });
// @ts-expect-error userId or anonymousId is required
analytics.screen({});
// @ts-expect-error userId or anonymousId is required
analytics.group({ groupId: 'g1' });
// @ts-expect-error an undefined id is none
analytics.track({ userId: undefined, event: 'Ordered' });
// @ts-expect-error a null id is none
analytics.track({ userId: null, event: 'Ordered' });
// @ts-expect-error ids are strings
analytics.track({ userId: 5, event: 'Ordered' });
// @ts-expect-error ids are strings
analytics.track({ userId: 'u1', anonymousId: 5, event: 'Ordered' });

// What each method needs beside.
// @ts-expect-error event is required
analytics.track({ userId: 'u1' });
// @ts-expect-error event is a string
analytics.track({ userId: 'u1', event: 5 });
// @ts-expect-error groupId is required
analytics.group({ userId: 'u1' });
// @ts-expect-error previousId is required
analytics.alias({ userId: 'u1' });
// @ts-expect-error userId is required
analytics.alias({ previousId: 'a1' });
// @ts-expect-error parameters are required
analytics.track();
// @ts-expect-error parameters are an object
analytics.track('u1', 'Ordered');

// The promises take the same.
const receipt: Promise<Receipt> = analytics.deliver.track({
  userId: 'u1',
  event: 'e',
});
// @ts-expect-error event is required
void analytics.deliver.track({ userId: 'u1' });
// @ts-expect-error previousId is required
void analytics.deliver.alias({ userId: 'u1' });

// Members that no method knows.
// @ts-expect-error unknown member
analytics.track({ userId: 'u1', event: 'e', propertys: {} });
// @ts-expect-error traits belong to identify and group
analytics.track({ userId: 'u1', event: 'e', traits: {} });
// @ts-expect-error properties belong to track, page and screen
analytics.identify({ userId: 'u1', properties: {} });

// Interfaces, classes and type aliases are properties, traits and contexts.
interface Order {
  total: number;
  lines: readonly { sku: string }[];
}
class Cart {
  items: string[] = [];
}
type Loose = { a?: number };
declare const order: Order;
declare const loose: Loose;
const properties: EventProperties = order;
analytics.track({ userId: 'u1', event: 'e', properties: order });
analytics.track({ userId: 'u1', event: 'e', properties: new Cart() });
analytics.track({ userId: 'u1', event: 'e', properties: loose });
analytics.page({ userId: 'u1', properties: order });
analytics.identify({ userId: 'u1', traits: order });
analytics.group({ userId: 'u1', groupId: 'g1', traits: new Cart() });
// @ts-expect-error properties are no text
analytics.track({ userId: 'u1', event: 'e', properties: 'text' });
// @ts-expect-error properties are no number
analytics.track({ userId: 'u1', event: 'e', properties: 5 });

// Segment's own traits have their kinds; others are free.
analytics.identify({
  userId: 'u1',
  traits: { email: 'a@b.example', age: 5, createdAt: new Date(), plan: ['x'] },
});
analytics.identify({ userId: 'u1', traits: { email: null, address: { city: 'Berlin' } } });
declare const custom: { plan: string; email: string };
analytics.identify({ userId: 'u1', traits: custom });
analytics.group({ userId: 'u1', groupId: 'g1', traits: { name: 'Acme', seats: 5, nested: { a: [1] } } });
// @ts-expect-error email is a string
analytics.identify({ userId: 'u1', traits: { email: 5 } });
interface OddTraits {
  email: number;
}
declare const odd: OddTraits;
// @ts-expect-error email is a string in an interface too
analytics.identify({ userId: 'u1', traits: odd });
// @ts-expect-error employees is a number or a string
analytics.group({ userId: 'u1', groupId: 'g1', traits: { employees: [] } });

// What all methods share.
const timestamp = new Date();
const context = { ip: '::1', page: { url: '/' }, mine: { a: 1 } };
const integrations = { All: false, Tool: true, Other: { id: 1 } };
analytics.track({ userId: 'u1', event: 'e', timestamp, context, integrations, messageId: 'm1' });
analytics.track({ userId: 'u1', event: 'e', timestamp: '2026-01-01T00:00:00Z' });
analytics.track({
  userId: 'u1',
  event: 'e',
  timestamp: undefined,
  context: undefined,
  properties: undefined,
});
interface RequestContext {
  ip: string;
  mine: number;
}
declare const requestContext: RequestContext;
declare const tool: Order;
analytics.track({ userId: 'u1', event: 'e', context: requestContext, integrations: { Tool: tool } });
// @ts-expect-error a timestamp is a Date or text
analytics.track({ userId: 'u1', event: 'e', timestamp: 5 });
// @ts-expect-error a context is an object
analytics.track({ userId: 'u1', event: 'e', context: 'text' });
// @ts-expect-error ip is a string
analytics.track({ userId: 'u1', event: 'e', context: { ip: 5 } });
// @ts-expect-error All is a switch
analytics.track({ userId: 'u1', event: 'e', integrations: { All: 'no' } });
// @ts-expect-error a messageId is a string
analytics.track({ userId: 'u1', event: 'e', messageId: 5 });

// Wrappers can be written without a cast.
function wrapped<Type extends keyof MethodParams>(type: Type, params: MethodParams[Type]): Promise<Receipt> {
  return analytics.deliver[type](params);
}
void wrapped('track', { userId: 'u1', event: 'e' });
// @ts-expect-error event is required
void wrapped('track', { userId: 'u1' });

// Callbacks.
analytics.track({ userId: 'u1', event: 'e' }, (error: unknown, { event, attempts }) => {
  const sent: SegmentEvent = event;
  return [error, sent, attempts.toFixed()];
});
analytics.track({ userId: 'u1', event: 'e' }, async () => {});
// @ts-expect-error a callback is a function
analytics.track({ userId: 'u1', event: 'e' }, 'callback');

export { accepted, receipt, properties };
