/** What is run on the systems: the commands, and each with one of its prerequisites taken away. */
import { neededFor } from '../setup/prerequisites.mjs';

const COMMANDS = { demo: 'npm run demo', test: 'npm test', lint: 'npm run lint' };

const purge = (packages) => `dpkg --purge --force-depends ${packages}`;
const REMOVE_RUST = 'rm -rf /opt/rust ~/.rustup ~/.cargo';
const REMOVE_NPM = 'rm /opt/node/bin/npm /opt/node/bin/npx';
/** Where venv is not Python's own but Debian's. */
const PYTHON_VENV = "$(dpkg-query --show --showformat '${Package} ' 'python3*-venv')";

/** npm cannot say that it is missing. */
const withoutNpm = (command) => `node scripts/setup.mjs --for ${command}`;

/**
 * @typedef {{ command: string, system?: string, without: string[], take?: string, run?: string }} Taken
 *   `without` names rows of prerequisites.mjs; `take` removes them
 * @type {Taken[]}
 */
const TAKEN = [
  { command: 'demo', without: ['node'], system: 'old-node' },
  { command: 'demo', without: ['node', 'npm'], system: 'ancient-node' },
  { command: 'demo', without: ['npm'], take: REMOVE_NPM, run: withoutNpm('demo') },
  { command: 'demo', without: ['rust'], take: REMOVE_RUST },
  { command: 'demo', without: ['c-compiler'], take: purge('gcc') },
  { command: 'demo', without: ['c-compiler'], take: purge('libc6-dev') },
  { command: 'demo', without: ['certificates'], take: purge('ca-certificates') },
  { command: 'test', without: ['rustup'], take: 'rm -r ~/.cargo/bin' },
  { command: 'test', without: ['git'], take: purge('git') },
  { command: 'test', without: ['python'], take: purge('python3 python3-minimal') },
  { command: 'test', without: ['python'], take: purge(PYTHON_VENV) },
  { command: 'test', without: ['musl'], take: purge('musl') },
  { command: 'lint', without: ['rust-checks'], take: 'rm /opt/rust/bin/cargo-clippy' },
];

/** Nothing at all but Node. */
const ALL = {
  command: 'test',
  take: [
    REMOVE_NPM,
    REMOVE_RUST,
    ...['gcc', 'ca-certificates', 'git', 'python3-minimal', 'musl'].map(purge),
  ].join('\n'),
  run: withoutNpm('test'),
};

export function commandRun(command) {
  return { name: command, command, run: COMMANDS[command], system: command, take: '', told: [] };
}

/** `told`: the beginnings of the lines that are expected. */
export function runsWithout() {
  const single = TAKEN.map(
    ({ command, without, take = '', run = COMMANDS[command], system = command }, index) => ({
      name: `${command}-without-${index + 1}-${without.join('-')}`,
      command,
      run,
      system,
      take,
      without: `${without.join(', ')}${take === '' ? '' : `: ${take}`}`,
      told: linesFor(command, (name) => without.includes(name)),
    }),
  );
  const all = { ...ALL, name: 'test-without-all', system: 'test', without: 'all but Node' };
  return [...single, { ...all, told: linesFor('test', (name) => name !== 'node') }];
}

const linesFor = (command, isMissing) =>
  neededFor(command)
    .filter(({ name }) => isMissing(name))
    .map(({ what }) => `setup: ${what} is needed; `);
