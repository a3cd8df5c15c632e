// The application without tracking.
import { Orders } from '../orders.mjs';

export function setUp() {
  return { imports: [], ordersClass: Orders };
}
