/** Proxies that the environment names, where they are asked for. */
import { isNodeOption } from './node-options.js';

/** As the engine takes it. Holds credentials: never kept. */
export interface EnvironmentProxies {
  httpsProxy?: string | undefined;
  httpProxy?: string | undefined;
  noProxy?: string | undefined;
}

/** The value of `proxy` that asks for them. */
export const FROM_ENVIRONMENT = 'environment';

/**
 * The proxies for a client whose option `proxy` is this: those of the environment when it says so, or when it is not given
 * and Node was started with `--use-env-proxy` or `NODE_USE_ENV_PROXY=1`. Small letters win, as in Node's `fetch`.
 */
export function environmentProxies(proxy: unknown): EnvironmentProxies | undefined {
  const isWanted =
    proxy === FROM_ENVIRONMENT ||
    (proxy === undefined && isNodeOption('use-env-proxy', 'NODE_USE_ENV_PROXY'));
  if (!isWanted) return undefined;
  const { env } = process;
  return {
    httpsProxy: env['https_proxy'] ?? env['HTTPS_PROXY'],
    httpProxy: env['http_proxy'] ?? env['HTTP_PROXY'],
    noProxy: env['no_proxy'] ?? env['NO_PROXY'],
  };
}
