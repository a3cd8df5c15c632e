/**
 * One HTTP exchange with the fake Segment: read the request, find its fault, judge its events, answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

import { clearInterval, clearTimeout, setInterval, setTimeout } from '../clock.js';
import { AFTER_BODY, answerWith, isSuccess, standardAnswer } from './faults.js';
import type { Answer, Fault, FaultSchedule } from './faults.js';
import type { OpenRecord, RecordedEvent, Recording, SortedEvents } from './recording.js';
import { authenticate, endpointAt, judge, MAX_BUFFERED_BYTES, readSubmission } from './tracking-api.js';
import type { Endpoint, Refusal } from './tracking-api.js';

/** What every exchange with one server shares. */
export interface ExchangeContext {
  readonly recording: Recording;
  readonly faults: FaultSchedule;
  /** Undefined: any key that is not empty. */
  readonly writeKeys: ReadonlySet<string> | undefined;
  readonly takesGzip: boolean;
  readonly poison: ((event: RecordedEvent) => boolean) | undefined;
}

export async function serve(
  context: ExchangeContext,
  requestId: number,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { recording, faults } = context;
  const record = openRecord(requestId, request, context.writeKeys);
  const endpoint = endpointAt(record.path);
  const early = endpoint === 'health' ? undefined : faults.takeAtHeaders(record);
  if (early !== AFTER_BODY && early?.reset === 'before-body') {
    recording.requestSeen(record);
    await waitWhileConnected(response, early.delayMs);
    request.socket.resetAndDestroy();
    return;
  }
  const body = await readBody(request);
  if (body === undefined) return;
  record.bytesOnWire = body.size;
  const verdict = await reachVerdict(context, endpoint, record, request, body.bytes);
  const fault = early === AFTER_BODY ? faults.takeAfterBody(record) : early;
  recording.requestSeen(record);
  await conclude(recording, record, response, verdict, fault);
}

/** Everything that the headers tell; the rest is filled in as the body is read. */
function openRecord(
  id: number,
  request: IncomingMessage,
  writeKeys: ExchangeContext['writeKeys'],
): OpenRecord {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (name === 'authorization' || name === 'proxy-authorization' || value === undefined) continue;
    headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  const retryCount = headers['x-retry-count'];
  return {
    id,
    receivedAt: Date.now(),
    method: request.method ?? '',
    path: request.url?.split('?', 1)[0] ?? '',
    headers,
    status: undefined,
    bytesOnWire: 0,
    bytesRaw: 0,
    encoding: headers['content-encoding']?.toLowerCase() ?? 'identity',
    ...(retryCount !== undefined && /^\d+$/.test(retryCount) && { retryCount: Number(retryCount) }),
    eventCount: 0,
    messageIds: [],
    ...authenticate(request.headers.authorization, undefined, writeKeys),
  };
}

/** Reads a body to its end, in bounded memory. Undefined when the client went away before. */
function readBody(
  request: IncomingMessage,
): Promise<{ size: number; bytes: Buffer | undefined } | undefined> {
  return new Promise((resolve) => {
    let chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BUFFERED_BYTES) chunks.push(chunk);
      else chunks = [];
    });
    request.once('end', () => {
      resolve({ size, bytes: size <= MAX_BUFFERED_BYTES ? Buffer.concat(chunks, size) : undefined });
    });
    request.once('close', () => resolve(undefined));
  });
}

/** Judges the request as Segment would, faults aside, and fills in its record. */
async function reachVerdict(
  { writeKeys, takesGzip, poison }: ExchangeContext,
  endpoint: Endpoint | undefined,
  record: OpenRecord,
  request: IncomingMessage,
  bytes: Buffer | undefined,
): Promise<SortedEvents | Refusal> {
  const misdirected = misdirection(endpoint, record.method);
  if (misdirected) return misdirected;
  if (endpoint === undefined || endpoint === 'health') return { accepted: [], rejected: [] };
  const submission = await readSubmission(endpoint, { bytes, encoding: record.encoding }, takesGzip);
  const authentication = authenticate(request.headers.authorization, submission.writeKey, writeKeys);
  record.bytesRaw = submission.bytesRaw;
  record.eventCount = submission.events.length;
  record.messageIds = submission.events
    .map(({ messageId }) => messageId)
    .filter((id) => typeof id === 'string');
  if (submission.sentAt !== undefined) record.sentAt = submission.sentAt;
  Object.assign(record, authentication);
  return judge(submission, authentication, poison);
}

function misdirection(endpoint: Endpoint | undefined, method: string): Refusal | undefined {
  if (endpoint === undefined) return { status: 404, message: 'there is no such endpoint' };
  const allowed = endpoint === 'health' ? ['GET', 'HEAD'] : ['POST'];
  return allowed.includes(method)
    ? undefined
    : { status: 405, message: `only ${allowed.join(' and ')} here` };
}

async function conclude(
  recording: Recording,
  record: OpenRecord,
  response: ServerResponse,
  verdict: SortedEvents | Refusal,
  fault: Fault = {},
): Promise<void> {
  const sorted = 'accepted' in verdict ? verdict : undefined;
  if (sorted && fault.accept) recording.eventsTaken(sorted);
  if (fault.hang && !fault.reset) return;
  await waitWhileConnected(response, fault.delayMs);
  if (response.destroyed) return;
  if (fault.reset) {
    response.req.socket.resetAndDestroy();
    return;
  }
  const usual = 'accepted' in verdict ? standardAnswer(200) : standardAnswer(verdict.status, verdict.message);
  const answer = answerWith(fault, usual);
  record.status = answer.status;
  if (sorted && fault.accept === undefined && isSuccess(answer.status)) recording.eventsTaken(sorted);
  send(response, answer, fault.drip);
}

/** Waits, but not for a client that has left. The timer alone does not keep the process alive. */
function waitWhileConnected(response: ServerResponse, ms = 0): Promise<void> {
  if (ms === 0 || response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms).unref();
    response.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function send(response: ServerResponse, answer: Answer, drip: Fault['drip']): void {
  const body = Buffer.from(hasBody(answer.status) ? answer.body : '');
  const length = hasBody(answer.status) ? { 'content-length': String(body.length) } : {};
  response.writeHead(answer.status, { ...length, ...answer.headers });
  if (!drip) {
    response.end(body);
    return;
  }
  response.flushHeaders();
  trickle(response, body, drip.bytes ?? 1, drip.intervalMs);
}

function hasBody(status: number): boolean {
  return status !== 204 && status !== 304;
}

function trickle(response: ServerResponse, body: Buffer, bytesPerStep: number, intervalMs: number): void {
  let sent = 0;
  const step = () => {
    response.write(body.subarray(sent, sent + bytesPerStep));
    sent += bytesPerStep;
    if (sent < body.length) return;
    clearInterval(timer);
    response.end();
  };
  const timer = setInterval(step, intervalMs).unref();
  response.once('close', () => clearInterval(timer));
}

/** A callback of the test threw: the client gets an answer, the mistake surfaces where no one can miss it. */
export function failLoudly(response: ServerResponse, error: unknown): void {
  if (!response.headersSent && !response.destroyed) send(response, standardAnswer(500), undefined);
  process.nextTick(() => {
    throw error;
  });
}
