/** What a synthesis made, for the screen. */
import { readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { Validations, type App } from 'aws-cdk-lib';
import { FileAssetPackaging } from 'aws-cdk-lib/cloud-assembly-schema';
import {
  AssetManifestArtifact,
  type CloudAssembly,
  type CloudFormationStackArtifact,
} from 'aws-cdk-lib/cx-api';

/** `asset.` and the first twelve digits of its hash. */
const SHORT_NAME = 18;
/** How to switch a warning off, which the CDK puts behind it. */
const ACKNOWLEDGEMENT = /\s*\[ack: .*\]$/;

export function summaryOf(app: App, assembly: CloudAssembly): string {
  const lines = [
    ...assembly.stacks.flatMap(stackLines),
    ...assetLines(assembly),
    findingsLine(app),
    `In ${resolve(assembly.directory)}`,
  ];
  return `${lines.join('\n')}\n`;
}

function stackLines(stack: CloudFormationStackArtifact): string[] {
  const { Resources: resources = {} } = stack.template as { Resources?: object };
  const { account, region } = stack.environment;
  const place = `${known(account) ?? 'any account'}, ${known(region) ?? 'any region'}`;
  const warnings = stack.messages
    .filter(({ level }) => String(level) === 'warning')
    .map(
      ({ entry: { data } }) =>
        `  Warning: ${typeof data === 'string' ? data.replace(ACKNOWLEDGEMENT, '') : ''}`,
    );
  return [`Stack ${stack.id}: ${Object.keys(resources).length} resources, ${place}`, ...warnings];
}

/** The CDK has a name for what is decided when the stack is deployed. */
function known(place: string): string | undefined {
  return place.startsWith('unknown-') ? undefined : place;
}

/** The code of functions; templates are assets too. */
function assetLines(assembly: CloudAssembly): string[] {
  const manifests = assembly.artifacts.filter((artifact) =>
    AssetManifestArtifact.isAssetManifestArtifact(artifact),
  );
  const folders = manifests
    .flatMap(({ contents }) => Object.values(contents.files ?? {}))
    .flatMap(({ source }) =>
      source.packaging === FileAssetPackaging.ZIP_DIRECTORY ? [source.path ?? ''] : [],
    );
  return [...new Set(folders)].map((folder) => {
    const path = join(assembly.directory, folder);
    const files = readdirSync(path).map((file) => {
      const { size } = statSync(join(path, file));
      return `${file} (${Math.ceil(size / 1024)} KiB)`;
    });
    return `${folder.slice(0, SHORT_NAME)}: ${files.join(', ')}`;
  });
}

/** Whatever was not acknowledged has ended the synthesis before this. */
function findingsLine(app: App): string {
  const acknowledged = new Set(
    app.node
      .findAll()
      .flatMap(({ node }) => node.metadata)
      .filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
      .flatMap(({ data }) => Object.keys(data as Record<string, string>))
      .map((id) => id.replace(/^annotation::/i, '')),
  );
  return `Findings of AwsSolutions and HIPAA.Security: none; acknowledged: ${[...acknowledged].toSorted().join(', ')}`;
}
