import { Body, Controller, Post, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiConflictResponse, ApiCreatedResponse } from '@nestjs/swagger';

import type { Member } from '../members/member.js';
import { CurrentMember, SessionGuard } from '../sessions/session.guard.js';
import { AppointmentsService } from './appointments.service.js';
import { AppointmentDto, BookAppointmentDto } from './dto/appointment.dto.js';

@Controller('appointments')
@UseGuards(SessionGuard)
@ApiBearerAuth()
export class AppointmentsController {
  constructor(private readonly appointments: AppointmentsService) {}

  @Post()
  @ApiCreatedResponse({ type: AppointmentDto })
  @ApiConflictResponse({ description: 'The member has an appointment at this time already.' })
  book(@CurrentMember() member: Member, @Body() body: BookAppointmentDto): AppointmentDto {
    const { id, kind, startsAt } = this.appointments.book(member, body);
    return { appointmentId: id, kind, startsAt };
  }
}
