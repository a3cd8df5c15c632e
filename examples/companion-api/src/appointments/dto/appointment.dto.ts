import { ApiProperty } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsDate, IsIn, IsString, MaxLength } from 'class-validator';

export const KINDS = ['video', 'in-person'] as const;
export type Kind = (typeof KINDS)[number];

export class BookAppointmentDto {
  @ApiProperty({ enum: KINDS })
  @IsIn(KINDS)
  kind!: Kind;

  @ApiProperty({ example: '2030-05-01T09:30:00Z' })
  @Type(() => Date)
  @IsDate()
  startsAt!: Date;

  @ApiProperty({ description: 'Why the member comes.' })
  @IsString()
  @MaxLength(1_000)
  reason!: string;
}

export class AppointmentDto {
  @ApiProperty()
  appointmentId!: string;

  @ApiProperty({ enum: KINDS })
  kind!: Kind;

  @ApiProperty()
  startsAt!: Date;
}
