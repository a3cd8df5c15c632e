/** Errors: each has a stable `code`, a text that says what to do, and nothing a customer sent. */

/** The stable codes. */
export type ErrorCode =
  | 'ERR_WRITE_KEY_MISSING'
  | 'ERR_OPTION_INVALID'
  | 'ERR_VALIDATION'
  | 'ERR_NOT_SERIALIZABLE'
  | 'ERR_EVENT_TOO_LARGE'
  | 'ERR_QUEUE_FULL'
  | 'ERR_CLOSED'
  | 'ERR_REJECTED'
  | 'ERR_UNAUTHORIZED'
  | 'ERR_RATE_LIMITED'
  | 'ERR_SERVER'
  | 'ERR_NETWORK'
  | 'ERR_TIMEOUT'
  | 'ERR_REDIRECT'
  | 'ERR_EXPIRED'
  | 'ERR_SPOOL'
  | 'ERR_RESOURCES'
  | 'ERR_INTERNAL'
  | 'ERR_ADDON';

/** Facts that some errors carry. */
export interface ErrorDetails {
  /** The option or event field at fault. */
  field?: string | undefined;
  /** What the field may be. */
  limit?: string | undefined;
  /** The HTTP status that ended the event. */
  status?: number | undefined;
  /** Requests that carried the event. */
  attempts?: number | undefined;
}

/** Any error of this package. */
export class AnalyticsError extends Error {
  readonly code: ErrorCode;
  declare readonly field?: string;
  declare readonly limit?: string;
  declare readonly status?: number;
  declare readonly attempts?: number;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message);
    this.code = code;
    for (const [name, value] of Object.entries(details) as [string, unknown][]) {
      if (value !== undefined && value !== null) Object.assign(this, { [name]: value });
    }
  }

  static {
    Object.defineProperty(this.prototype, 'name', {
      value: 'AnalyticsError',
      configurable: true,
      writable: true,
    });
  }
}

/** The parameters of a call are wrong. Its texts are those of `@segment/analytics-node`. */
export class ValidationError extends AnalyticsError {
  constructor(field: string, problem: string) {
    super('ERR_VALIDATION', `${field} ${problem}`, { field });
  }

  static {
    Object.defineProperty(this.prototype, 'name', {
      value: 'ValidationError',
      configurable: true,
      writable: true,
    });
  }
}

/** The error for a setting that can't be used. */
export function invalidOption(field: string, limit: string): AnalyticsError {
  return new AnalyticsError('ERR_OPTION_INVALID', `The option ${field} must be ${limit}.`, { field, limit });
}
