// The function with @companion/segment.
import { createHandler } from '@companion/segment/aws';

export const handler = createHandler();
