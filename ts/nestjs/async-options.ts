/** What Nest itself takes beside the options of a module, where they come from a factory. */
import type { ConfigurableModuleAsyncOptions } from '@nestjs/common';

import { optionNames } from '../known-options.js';

/** `provideInjectionTokensFrom` came with Nest 10. */
export const ASYNC_MODULE_OPTIONS = optionNames<Required<ConfigurableModuleAsyncOptions<unknown>>>({
  imports: true,
  inject: true,
  useFactory: true,
  useClass: true,
  useExisting: true,
  provideInjectionTokensFrom: true,
});
