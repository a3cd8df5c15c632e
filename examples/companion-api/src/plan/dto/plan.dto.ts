import { ApiProperty } from '@nestjs/swagger';
import { IsIn } from 'class-validator';

import { PLANS, type Plan } from '../../members/member.js';

export class ChangePlanDto {
  @ApiProperty({ enum: PLANS })
  @IsIn(PLANS)
  plan!: Plan;
}

export class PlanChangeDto {
  @ApiProperty()
  changeId!: string;

  @ApiProperty({ enum: PLANS })
  from!: Plan;

  @ApiProperty({ enum: PLANS })
  to!: Plan;
}
