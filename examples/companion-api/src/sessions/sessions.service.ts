import { randomBytes, randomUUID } from 'node:crypto';

import { SegmentContext, SegmentService, Track } from '@companion/segment/nestjs';
import { Injectable, UnauthorizedException } from '@nestjs/common';

import type { Member } from '../members/member.js';
import { MembersRepository } from '../members/members.repository.js';
import { isPassword } from '../members/passwords.js';

const TOKEN_BYTES = 32;

export interface Session {
  readonly token: string;
  readonly member: Member;
}

@Injectable()
export class SessionsService {
  readonly #memberIds = new Map<string, string>();

  constructor(
    private readonly members: MembersRepository,
    private readonly segment: SegmentService,
  ) {}

  @Track('Sign In Failed', {
    on: 'failure',
    when: (_args, _result, error) => error instanceof UnauthorizedException,
    // Nobody is signed in. Without the id of the browser, each attempt is a stranger's.
    anonymousId: () => SegmentContext.get().anonymousId ?? randomUUID(),
  })
  async signIn(email: string, password: string): Promise<Session> {
    const member = this.members.findByEmail(email);
    if (member === undefined || !(await isPassword(password, member.passwordHash))) {
      throw new UnauthorizedException('E-mail or password is wrong.');
    }
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    this.#memberIds.set(token, member.id);
    this.segment.track({ userId: member.id, event: 'Signed In', properties: { plan: member.plan } });
    return { token, member };
  }

  /** Whose session this is. */
  memberOf(token: string): Member | undefined {
    const memberId = this.#memberIds.get(token);
    return memberId === undefined ? undefined : this.members.find(memberId);
  }
}
