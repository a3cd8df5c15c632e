import type { WinstonModuleOptions } from 'nest-winston';
import { format, transports } from 'winston';

/** One JSON object per line on standard output, for whatever collects the logs. */
export const logging: WinstonModuleOptions = {
  level: 'info',
  format: format.combine(format.timestamp(), format.json()),
  transports: [new transports.Console()],
};
