import { randomUUID } from 'node:crypto';

import { InjectSegment, SegmentService } from '@companion/segment/nestjs';
import { ConflictException, Injectable } from '@nestjs/common';

import type { Member, Plan } from '../members/member.js';
import type { PlanChangeDto } from './dto/plan.dto.js';

@Injectable()
export class PlanService {
  constructor(
    private readonly segment: SegmentService,
    @InjectSegment('marketing') private readonly marketing: SegmentService,
  ) {}

  change(member: Member, to: Plan): PlanChangeDto {
    const from = member.plan;
    if (from === to) throw new ConflictException(`The plan is ${to} already.`);
    member.plan = to;

    const userId = member.id;
    const change = { changeId: randomUUID(), from, to };
    this.segment.identify({ userId, traits: { plan: to } });
    this.segment.track({ userId, event: 'Plan Changed', properties: change });
    this.marketing.track({ userId, event: 'Plan Chosen', properties: { plan: to } });
    return change;
  }
}
