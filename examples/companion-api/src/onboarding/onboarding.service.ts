import { randomUUID } from 'node:crypto';

import { SegmentService } from '@companion/segment/nestjs';
import { ConflictException, Injectable } from '@nestjs/common';

import type { Member } from '../members/member.js';
import { MembersRepository } from '../members/members.repository.js';
import { hashPassword } from '../members/passwords.js';
import type { OnboardingDto } from './dto/onboarding.dto.js';

@Injectable()
export class OnboardingService {
  constructor(
    private readonly members: MembersRepository,
    private readonly segment: SegmentService,
  ) {}

  async onboard({ email, password, firstName, lastName }: OnboardingDto): Promise<Member> {
    const passwordHash = await hashPassword(password);
    const member: Member = { id: randomUUID(), email, firstName, lastName, passwordHash, plan: 'basic' };
    if (!this.members.add(member)) throw new ConflictException('There is a member with this e-mail already.');

    const traits = { email, firstName, lastName, plan: member.plan, createdAt: new Date() };
    this.segment.identify({ userId: member.id, traits });
    this.segment.track({
      userId: member.id,
      event: 'Onboarding Completed',
      properties: { plan: member.plan },
    });
    return member;
  }
}
