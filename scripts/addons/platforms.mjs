/**
 * The platforms that there are addons for: what Rust calls them, what Node and npm call them, and what an addon for
 * them may be. Packages in `npm/`, builds, inspections and the release follow this table.
 */

/** The oldest glibc that an addon runs with: CentOS 7, Debian 8, Ubuntu 14.04. What Rust itself asks for. */
export const GLIBC = '2.17';

/** The oldest macOS. */
export const MACOS = '11.0';

const GLIBC_LIBRARIES = ['libc.so.6', 'libdl.so.2', 'libgcc_s.so.1', 'libm.so.6', 'libpthread.so.0', 'librt.so.1'];
const MUSL_LIBRARIES = ['libc.so', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'];
const MACOS_LIBRARIES = ['/usr/lib/libSystem.B.dylib', '/usr/lib/libiconv.2.dylib'];
/** Those that are there on every Windows that Node 20 runs on. */
const WINDOWS_LIBRARIES = [
  'advapi32.dll',
  'bcrypt.dll',
  'bcryptprimitives.dll',
  'kernel32.dll',
  'msvcrt.dll',
  'ntdll.dll',
  'userenv.dll',
  'vcruntime140.dll',
  'ws2_32.dll',
];

/**
 * @typedef {object} Platform
 * @property {string} target Rust's name
 * @property {string} [targetElsewhere] Rust's name of what can be built without that system's own tools
 * @property {{ os: string, cpu: string, libc?: string }} npm what npm looks at when it installs
 * @property {'ELF' | 'Mach-O' | 'COFF'} format
 * @property {string} machine as llvm-readobj names it
 * @property {readonly string[]} libraries what it may need, beside the dynamic loader
 */

/** @type {Record<string, Platform>} */
export const PLATFORMS = {
  'linux-x64-gnu': {
    target: 'x86_64-unknown-linux-gnu',
    npm: { os: 'linux', cpu: 'x64', libc: 'glibc' },
    format: 'ELF',
    machine: 'EM_X86_64',
    libraries: [...GLIBC_LIBRARIES, 'ld-linux-x86-64.so.2'],
  },
  'linux-arm64-gnu': {
    target: 'aarch64-unknown-linux-gnu',
    npm: { os: 'linux', cpu: 'arm64', libc: 'glibc' },
    format: 'ELF',
    machine: 'EM_AARCH64',
    libraries: [...GLIBC_LIBRARIES, 'ld-linux-aarch64.so.1'],
  },
  'linux-arm-gnueabihf': {
    target: 'armv7-unknown-linux-gnueabihf',
    npm: { os: 'linux', cpu: 'arm', libc: 'glibc' },
    format: 'ELF',
    machine: 'EM_ARM',
    libraries: [...GLIBC_LIBRARIES, 'ld-linux-armhf.so.3'],
  },
  'linux-x64-musl': {
    target: 'x86_64-unknown-linux-musl',
    npm: { os: 'linux', cpu: 'x64', libc: 'musl' },
    format: 'ELF',
    machine: 'EM_X86_64',
    libraries: MUSL_LIBRARIES,
  },
  'linux-arm64-musl': {
    target: 'aarch64-unknown-linux-musl',
    npm: { os: 'linux', cpu: 'arm64', libc: 'musl' },
    format: 'ELF',
    machine: 'EM_AARCH64',
    libraries: MUSL_LIBRARIES,
  },
  'darwin-x64': {
    target: 'x86_64-apple-darwin',
    npm: { os: 'darwin', cpu: 'x64' },
    format: 'Mach-O',
    machine: 'Intel x86-64',
    libraries: MACOS_LIBRARIES,
  },
  'darwin-arm64': {
    target: 'aarch64-apple-darwin',
    npm: { os: 'darwin', cpu: 'arm64' },
    format: 'Mach-O',
    machine: 'Arm64',
    libraries: MACOS_LIBRARIES,
  },
  'win32-x64-msvc': {
    target: 'x86_64-pc-windows-msvc',
    targetElsewhere: 'x86_64-pc-windows-gnullvm',
    npm: { os: 'win32', cpu: 'x64' },
    format: 'COFF',
    machine: 'IMAGE_FILE_MACHINE_AMD64',
    libraries: WINDOWS_LIBRARIES,
  },
  'win32-arm64-msvc': {
    target: 'aarch64-pc-windows-msvc',
    targetElsewhere: 'aarch64-pc-windows-gnullvm',
    npm: { os: 'win32', cpu: 'arm64' },
    format: 'COFF',
    machine: 'IMAGE_FILE_MACHINE_ARM64',
    libraries: WINDOWS_LIBRARIES,
  },
};

/** The file of an addon. */
export const addonFile = (platform) => `companion-segment.${platform}.node`;

/** The package of an addon. */
export const packageName = (platform) => `@companion/segment-${platform}`;
