import { ApiProperty } from '@nestjs/swagger';
import { IsEmail, IsString, MaxLength } from 'class-validator';

export class LoginDto {
  @ApiProperty({ example: 'mira@example.com' })
  @IsEmail()
  email!: string;

  @ApiProperty({ example: 'correct horse battery' })
  @IsString()
  @MaxLength(200)
  password!: string;
}

export class SessionDto {
  @ApiProperty()
  memberId!: string;

  @ApiProperty({ description: 'For the header `Authorization: Bearer ...`.' })
  token!: string;
}
