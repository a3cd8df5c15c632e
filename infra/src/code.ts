/** The function's code as an asset of the CDK. */
import { spawnSync } from 'node:child_process';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { AssetHashType, DockerImage, type BundlingOptions, type ILocalBundling } from 'aws-cdk-lib';
import { Code } from 'aws-cdk-lib/aws-lambda';

import { BundleError, checkAddon, findAddon, packageRootFrom, type LambdaArchitecture } from './addon.js';

const COMMAND = fileURLToPath(new URL('bundle-command.js', import.meta.url));

/**
 * Bundles a module for an architecture. Its hash is that of the bundle: what stays the same is not deployed.
 *
 * @param entry path of the module that exports `handler`
 * @param addon path of the addon, if it is not to be looked for
 * @throws BundleError there is no addon that Lambda can load
 */
export function segmentCode(entry: string, architecture: LambdaArchitecture, addon?: string): Code {
  const packageRoot = packageRootFrom(resolve(entry));
  const path = addon ?? findAddon(packageRoot, architecture);
  checkAddon(path, packageRoot, architecture);
  const bundling: BundlingOptions = {
    // Never used: the bundling below works everywhere.
    image: DockerImage.fromRegistry('public.ecr.aws/sam/build-nodejs22.x'),
    local: new LocalBundling(resolve(entry), architecture, resolve(path)),
  };
  return Code.fromAsset(dirname(resolve(entry)), { assetHashType: AssetHashType.OUTPUT, bundling });
}

/** The CDK keeps bundles apart by their options: the fields are part of them. */
class LocalBundling implements ILocalBundling {
  constructor(
    readonly entry: string,
    readonly architecture: LambdaArchitecture,
    readonly addon: string,
  ) {}

  /** Constructs can't wait: esbuild's plugins need a process that can. */
  tryBundle(outdir: string): boolean {
    const { entry, architecture, addon } = this;
    const options = Object.entries({ entry, architecture, addon, outdir });
    const args = options.flatMap(([name, value]) => [`--${name}`, value]);
    const { status, stderr } = spawnSync(process.execPath, [COMMAND, ...args], { encoding: 'utf8' });
    if (status !== 0) throw new BundleError(stderr.trim());
    return true;
  }
}
