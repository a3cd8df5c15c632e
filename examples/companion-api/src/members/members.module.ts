import { Module } from '@nestjs/common';

import { MembersRepository } from './members.repository.js';

@Module({ providers: [MembersRepository], exports: [MembersRepository] })
export class MembersModule {}
