import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsArray, IsEmail, IsIn, IsObject, IsOptional, IsString, ValidateNested } from 'class-validator';

const TYPES = ['CustomerCreated', 'CustomerUpdated'] as const;

/** Commercetools leaves fields out or sends `null`. */
export class AddressDto {
  @ApiPropertyOptional()
  @IsOptional()
  @IsString()
  streetName?: string | null;

  @ApiPropertyOptional()
  @IsOptional()
  @IsString()
  streetNumber?: string | null;

  @ApiPropertyOptional()
  @IsOptional()
  @IsString()
  city?: string | null;

  @ApiPropertyOptional()
  @IsOptional()
  @IsString()
  postalCode?: string | null;

  @ApiPropertyOptional()
  @IsOptional()
  @IsString()
  country?: string | null;
}

export class CustomerDto {
  @ApiProperty({ example: 'mira@example.com' })
  @IsEmail()
  email!: string;

  @ApiPropertyOptional()
  @IsOptional()
  @IsString()
  firstName?: string | null;

  @ApiPropertyOptional()
  @IsOptional()
  @IsString()
  lastName?: string | null;

  @ApiPropertyOptional()
  @IsOptional()
  @IsString()
  fullName?: string | null;

  @ApiPropertyOptional({ type: [AddressDto] })
  @IsOptional()
  @IsArray()
  @ValidateNested({ each: true })
  @Type(() => AddressDto)
  addresses?: AddressDto[] | null;
}

export class NotificationDto {
  @ApiProperty({ enum: TYPES })
  @IsIn(TYPES)
  type!: (typeof TYPES)[number];

  @ApiProperty()
  @IsObject()
  @ValidateNested()
  @Type(() => CustomerDto)
  customer!: CustomerDto;
}

export class WebhookAnswerDto {
  @ApiProperty({ example: true })
  success!: boolean;
}
