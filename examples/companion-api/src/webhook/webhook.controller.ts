import {
  Body,
  Controller,
  HttpCode,
  HttpStatus,
  InternalServerErrorException,
  Logger,
  Post,
} from '@nestjs/common';
import { ApiInternalServerErrorResponse, ApiOkResponse } from '@nestjs/swagger';

import { NotificationDto, WebhookAnswerDto } from './dto/notification.dto.js';
import { WebhookService } from './webhook.service.js';

/** Commercetools tells of customers. It tries again whatever is not answered with a 2xx. */
@Controller('api/webhook')
export class WebhookController {
  readonly #log = new Logger(WebhookController.name);

  constructor(private readonly webhook: WebhookService) {}

  @Post()
  @HttpCode(HttpStatus.OK)
  @ApiOkResponse({ type: WebhookAnswerDto })
  @ApiInternalServerErrorResponse({ description: 'Segment does not have the customer. Try again.' })
  async receive(@Body() { type, customer }: NotificationDto): Promise<WebhookAnswerDto> {
    try {
      await this.webhook.identify(customer);
    } catch (error) {
      // For us: why. For the caller: that it went wrong.
      this.#log.error(`${type} was not delivered to Segment: ${String(error)}`);
      throw new InternalServerErrorException({ error: 'Internal server error' });
    }
    return { success: true };
  }
}
