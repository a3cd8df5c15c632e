// The same peer tuned for throughput: batches of 500 events instead of 15.
import * as analyticsNode from './analytics-node.mjs';

export const label = '@segment/analytics-node, flushAt 500';
export const version = analyticsNode.version;
export const { load, toMessage } = analyticsNode;
export const variantOf = 'analytics-node';
export const onlyMetrics = ['throughput'];

/**
 * @param {string} url
 * @param {import('./adapter.mjs').Limits} limits
 */
export function create(url, limits) {
  return analyticsNode.create(url, limits, { flushAt: 500 });
}
