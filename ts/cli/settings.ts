/** What a command is told on its command line. */
export interface Settings {
  directory: string | undefined;
  json: boolean;
  /** The digest of a write key. */
  source: string | undefined;
  dead: boolean;
  /** Milliseconds. */
  timeout: number | undefined;
}
