/** Under what a client is injected. */
import { Inject } from '@nestjs/common';

import { DEFAULT_CLIENT } from './log.js';
import { SegmentService } from './service.js';

/** The injection token of a client: the class `SegmentService`, or a text for a named one. */
export function getSegmentToken(name?: string): typeof SegmentService | string {
  return name === undefined || name === DEFAULT_CLIENT ? SegmentService : `SegmentService:${name}`;
}

/** Injects a client by its name, into a constructor parameter or a property. */
export function InjectSegment(name?: string): ReturnType<typeof Inject> {
  return Inject(getSegmentToken(name));
}
