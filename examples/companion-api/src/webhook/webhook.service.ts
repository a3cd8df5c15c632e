import { SegmentService } from '@companion/segment/nestjs';
import { Injectable } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { firstValueFrom, from, timeout } from 'rxjs';

import type { Environment } from '../config/environment.js';
import type { AddressDto, CustomerDto } from './dto/notification.dto.js';

/** The shop sends the request: the customer has neither its address nor its user agent. */
const NOT_OF_THIS_REQUEST = { ip: undefined, userAgent: undefined, locale: undefined, page: undefined };

@Injectable()
export class WebhookService {
  readonly #timeoutMs: number;

  constructor(
    private readonly segment: SegmentService,
    config: ConfigService<Environment, true>,
  ) {
    this.#timeoutMs = config.get('WEBHOOK_TIMEOUT', { infer: true });
  }

  /** Resolves once Segment has the customer; rejects when it has not within `WEBHOOK_TIMEOUT`. */
  async identify(customer: CustomerDto): Promise<void> {
    const delivery = this.segment.deliver.identify({
      userId: customer.email,
      traits: traitsOf(customer),
      context: NOT_OF_THIS_REQUEST,
    });
    // Somebody waits for the answer: not for more events to share a request with.
    void this.segment.flush({ timeout: this.#timeoutMs });
    await firstValueFrom(from(delivery).pipe(timeout(this.#timeoutMs)));
  }
}

function traitsOf({ email, firstName, lastName, fullName, addresses }: CustomerDto) {
  const [address] = addresses ?? [];
  return {
    email,
    firstName: firstName ?? undefined,
    lastName: lastName ?? undefined,
    name: textOf(fullName ?? textOf(firstName, lastName)),
    address: address && addressOf(address),
  };
}

function addressOf({ streetName, streetNumber, city, postalCode, country }: AddressDto) {
  return {
    street: textOf(streetName, streetNumber),
    city: city ?? undefined,
    postalCode: postalCode ?? undefined,
    country: country ?? undefined,
  };
}

/** The parts that are there, with spaces between. */
function textOf(...parts: (string | null | undefined)[]): string | undefined {
  return parts.filter((part) => part !== undefined && part !== null).join(' ') || undefined;
}
