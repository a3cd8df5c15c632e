// The borders of ARCHITECTURE.md: who may know whom.
import { expectNothing, textFiles } from './files.mjs';

/** Modules of the engine from the ground up. One may use those before it. */
const LAYERS = [
  'error',
  'sync',
  'config',
  'stats',
  'event',
  'lenient',
  'commercetools',
  'aws',
  'queue',
  'delivery',
  'client',
  'binding',
];
/** The same inside modules that have rooms of their own; what is named by none of them is a room's own affair. */
const ROOMS = {
  'src/delivery': [
    'dead_letter',
    'notice',
    'clock',
    'retry',
    'transport',
    'batch',
    'encode',
    'oauth',
    'held',
    'gate',
    'snapshot',
    'worker',
    'driver',
    'engine',
  ],
  'src/queue/spool': [
    'record',
    'cipher',
    'disk',
    'lease',
    'reader',
    'survey',
    'settings',
    'writer',
    'commit',
    'backlog',
    'extents',
    'dead_letters',
    'tail',
    'jobs',
    'reading',
    'inspect',
    'maintenance',
    'recovery',
  ],
};
/** Modules that stand beside the way of an event: nobody but `binding` may use them. */
const BESIDE = new Set(['commercetools', 'aws']);

export async function rustImportsRunDownwards() {
  const sources = await textFiles((path) => /^src\/.+\.rs$/.test(path) && path !== 'src/lib.rs');
  expectNothing(sources, (line, { path }) => {
    const own = path.split('/')[1].replace(/\.rs$/, '');
    if (!LAYERS.includes(own)) return `the module ${own} has no place in LAYERS (scripts/lint/borders.mjs)`;
    if (line.trimStart().startsWith('//')) return undefined;
    const used = Array.from(line.matchAll(/\bcrate::(?<name>[a-z_]+)/g), ({ groups }) => groups?.name ?? '');
    const wrong = used.find((name) => !mayUse(own, name));
    return wrong === undefined ? undefined : `${own} must not use ${wrong}`;
  });
}

/** Inside a module too, no circle. */
export async function roomsImportDownwards() {
  for (const [directory, rooms] of Object.entries(ROOMS)) {
    const sources = await textFiles((path) => path.startsWith(`${directory}/`) && path.endsWith('.rs'));
    const module = directory.replace('src/', '').replaceAll('/', '::');
    expectNothing(sources, (line, { path }) => {
      const [own, ...deeper] = path
        .slice(directory.length + 1)
        .replace(/\.rs$/, '')
        .split('/');
      if (own === 'mod' || line.trimStart().startsWith('//')) return undefined;
      if (!rooms.includes(own)) return `${own} has no place in ROOMS (scripts/lint/borders.mjs)`;
      const up = deeper.length === 0 ? 'super' : 'super::super';
      const pattern = new RegExp(`\\b(?:crate::${module}|(?<!super::)${up})::(?<name>[a-z_]+)`, 'g');
      const used = Array.from(line.matchAll(pattern), ({ groups }) => groups?.name ?? '');
      const wrong = used.find((name) => rooms.indexOf(name) > rooms.indexOf(own));
      return wrong === undefined ? undefined : `${own} must not use ${wrong}`;
    });
  }
}

function mayUse(/** @type {string} */ own, /** @type {string} */ other) {
  if (own === other || own === 'binding') return true;
  return !BESIDE.has(other) && LAYERS.indexOf(other) < LAYERS.indexOf(own);
}

/** Only `src/binding` knows napi. */
export async function napiStaysAtTheBorder() {
  const inside = await textFiles((path) => /^(src|tests)\//.test(path) && !path.startsWith('src/binding/'));
  expectNothing(inside, (line) => (/\bnapi/i.test(line) ? 'only src/binding may know napi' : undefined));
}

const ONLY_LOADER = 'ts/addon.ts';

/** Only `ts/addon.ts` loads an addon. */
export async function addonIsLoadedOnce() {
  const face = await textFiles((path) => /^ts\/.+\.[cm]?ts$/.test(path) && path !== ONLY_LOADER);
  expectNothing(face, (line) => {
    const [, specifier = ''] = /\b(?:from|import|require)\s*\(?\s*['"]([^'"]+)['"]/.exec(line) ?? [];
    const loads = specifier.startsWith('@companion/segment-') || specifier.endsWith('.node');
    return loads ? `only ${ONLY_LOADER} may load an addon` : undefined;
  });
}
