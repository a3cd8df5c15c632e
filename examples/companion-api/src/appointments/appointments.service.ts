import { randomUUID } from 'node:crypto';

import { Track } from '@companion/segment/nestjs';
import { BadRequestException, ConflictException, Injectable } from '@nestjs/common';

import type { Member } from '../members/member.js';
import type { BookAppointmentDto, Kind } from './dto/appointment.dto.js';

export interface Appointment {
  readonly id: string;
  readonly memberId: string;
  readonly kind: Kind;
  readonly startsAt: Date;
  readonly reason: string;
}

@Injectable()
export class AppointmentsService {
  readonly #appointments = new Map<string, Appointment>();

  // Why the member comes stays here, and so does who that is beyond an id: Segment passes events on to whatever is
  // connected to it, and not all of that may have health data.
  @Track('Appointment Booked', {
    properties: (_args, { id, kind, startsAt }: Appointment) => ({ appointmentId: id, kind, startsAt }),
  })
  book(member: Member, { kind, startsAt, reason }: BookAppointmentDto): Appointment {
    if (startsAt.getTime() <= Date.now()) throw new BadRequestException('startsAt has to be in the future.');
    const slot = `${member.id} ${startsAt.toISOString()}`;
    if (this.#appointments.has(slot)) throw new ConflictException('There is an appointment at this time.');
    const appointment = { id: randomUUID(), memberId: member.id, kind, startsAt, reason };
    this.#appointments.set(slot, appointment);
    return appointment;
  }
}
