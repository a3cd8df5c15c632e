/** What a shared library says of itself. Layout: System V ABI, chapters "ELF Header", "Sections", "Symbol Versioning". */

const MAGIC = 0x7f454c46;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const VERSION_NEEDS = 0x6ffffffe;
/** Flag of a version that need not be there. */
const WEAK = 2;

/** `e_machine` of the processors that Lambda has. */
export const MACHINES: Readonly<Record<number, string>> = { 0x3e: 'x86_64', 0xb7: 'arm64' };

/** The processor that a library is for, by its name in Lambda or its number; undefined if it is no 64-bit ELF file. */
export function machineOf(library: Buffer): string | undefined {
  if (!isElf(library)) return undefined;
  const machine = library.readUInt16LE(18);
  return MACHINES[machine] ?? `machine 0x${machine.toString(16)}`;
}

/** Names of the symbol versions that a library can't be loaded without, like `GLIBC_2.17`. */
export function neededVersions(library: Buffer): string[] {
  if (!isElf(library)) return [];
  const sections = sectionsOf(library);
  return sections
    .filter(({ type }) => type === VERSION_NEEDS)
    .flatMap((needs) => {
      const names = sections[needs.link];
      return names === undefined ? [] : versionsIn(library, needs, names.offset);
    });
}

interface Section {
  readonly type: number;
  readonly offset: number;
  /** How many entries it has. */
  readonly count: number;
  /** The section with its texts. */
  readonly link: number;
}

function isElf(file: Buffer): boolean {
  return (
    file.length >= 64 && file.readUInt32BE(0) === MAGIC && file[4] === CLASS_64 && file[5] === LITTLE_ENDIAN
  );
}

function sectionsOf(library: Buffer): Section[] {
  const table = Number(library.readBigUInt64LE(0x28));
  const size = library.readUInt16LE(0x3a);
  const count = library.readUInt16LE(0x3c);
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * size;
    return {
      type: library.readUInt32LE(at + 4),
      offset: Number(library.readBigUInt64LE(at + 0x18)),
      link: library.readUInt32LE(at + 0x28),
      count: library.readUInt32LE(at + 0x2c),
    };
  });
}

/** Each needed library has a list of versions: two chains of records with the distance to the next one in them. */
function versionsIn(library: Buffer, needs: Section, names: number): string[] {
  const versions: string[] = [];
  let need = needs.offset;
  for (let left = needs.count; left > 0; left -= 1) {
    let version = need + library.readUInt32LE(need + 8);
    for (let inner = library.readUInt16LE(need + 2); inner > 0; inner -= 1) {
      const isOptional = (library.readUInt16LE(version + 4) & WEAK) !== 0;
      if (!isOptional) versions.push(textAt(library, names + library.readUInt32LE(version + 8)));
      version += library.readUInt32LE(version + 12);
    }
    need += library.readUInt32LE(need + 12);
  }
  return versions;
}

function textAt(library: Buffer, start: number): string {
  return library.toString('latin1', start, library.indexOf(0, start));
}
