import { Injectable } from '@nestjs/common';

import type { Member } from './member.js';

@Injectable()
export class MembersRepository {
  readonly #byId = new Map<string, Member>();
  readonly #byEmail = new Map<string, Member>();

  /** False when there is a member with this e-mail already. */
  add(member: Member): boolean {
    const key = member.email.toLowerCase();
    if (this.#byEmail.has(key)) return false;
    this.#byEmail.set(key, member);
    this.#byId.set(member.id, member);
    return true;
  }

  find(id: string): Member | undefined {
    return this.#byId.get(id);
  }

  findByEmail(email: string): Member | undefined {
    return this.#byEmail.get(email.toLowerCase());
  }
}
