/** Switches of Node itself, wherever they may be thrown. */

/**
 * Whether Node was started with `--name`: on its command line, in `NODE_OPTIONS` or, where there is one, by a variable
 * of its own. The last word counts, and the command line speaks last.
 */
export function isNodeOption(name: string, variable?: string): boolean {
  const given = [...(environmentVariable('NODE_OPTIONS')?.split(/\s+/) ?? []), ...process.execArgv];
  const words = given.map((word) => word.replaceAll('_', '-'));
  const on = words.lastIndexOf(`--${name}`);
  const off = words.lastIndexOf(`--no-${name}`);
  if (on !== off) return on > off;
  return variable !== undefined && environmentVariable(variable) === '1';
}

/** A variable of the environment. Deno asks the user before it lets anybody look: there, nothing is set. */
export function environmentVariable(name: string): string | undefined {
  return process.versions['deno'] === undefined ? process.env[name] : undefined;
}
