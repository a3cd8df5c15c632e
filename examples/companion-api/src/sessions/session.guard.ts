import {
  createParamDecorator,
  Injectable,
  UnauthorizedException,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';

import type { Member } from '../members/member.js';
import { SessionsService } from './sessions.service.js';

interface RequestOfMember {
  readonly headers: { readonly authorization?: string };
  user?: Member;
}

/** Lets those in who bring the token of a session, and writes on the request who it is. */
@Injectable()
export class SessionGuard implements CanActivate {
  constructor(private readonly sessions: SessionsService) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<RequestOfMember>();
    const [scheme, token = ''] = request.headers.authorization?.split(' ') ?? [];
    const member = scheme === 'Bearer' ? this.sessions.memberOf(token) : undefined;
    if (member === undefined) throw new UnauthorizedException('Sign in first.');
    request.user = member;
    return true;
  }
}

/** The member that SessionGuard has found. */
export const CurrentMember = createParamDecorator(
  (_data: unknown, context: ExecutionContext) => context.switchToHttp().getRequest<RequestOfMember>().user,
);
