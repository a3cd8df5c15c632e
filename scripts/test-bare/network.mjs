/** The way to the registries from inside is this machine's: its names, its certificate authorities, its proxy. */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

/** Names of variables that point to certificates: there they are where Debian has them. */
const TRUST = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'PIP_CERT', 'CARGO_HTTP_CAINFO'];
/** Other ones that tell programs about the network. */
const PASSED_ON =
  /^(?:https?_proxy|no_proxy|npm_config_registry|pip_index_url|pip_default_timeout|rustup_dist_server|cargo_registries_\w+)$/i;

export const ENVIRONMENT = Object.fromEntries([
  ...Object.entries(process.env).filter(([name]) => PASSED_ON.test(name)),
  ...TRUST.filter((name) => process.env[name] !== undefined).map((name) => [name, CERTIFICATES]),
]);

/** Puts it into a system. Debian adds the certificates to its own when it installs those. */
export function connect(root) {
  const hostCertificates = process.env.SSL_CERT_FILE ?? CERTIFICATES;
  const files = {
    '/etc/resolv.conf': '/etc/resolv.conf',
    '/etc/hosts': '/etc/hosts',
    [hostCertificates]: '/usr/local/share/ca-certificates/host.crt',
  };
  for (const [from, to] of Object.entries(files)) {
    if (!existsSync(from)) continue;
    const target = join(root, to);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(from, target);
  }
}
