/**
 * The platforms that there are addons for: what Rust calls them, what Node and npm call them, and what an addon for
 * them may be. Packages in `npm/`, builds, inspections and the release follow this table.
 */

/** The oldest glibc that an addon runs with: CentOS 7, Debian 8, Ubuntu 14.04. What Rust itself asks for. */
export const GLIBC = '2.17';

/** The oldest macOS. */
export const MACOS = '11.0';

/** What an addon may need: what is there on every machine of its kind. The C library and what belongs to it. */
const GLIBC_LIBRARIES = /^(?:lib(?:c|dl|gcc_s|m|pthread|rt)\.so\.\d|ld-linux[\w-]*\.so\.\d)$/;
/** Nothing beside the C library: a small image has nothing else. */
const MUSL_LIBRARIES = /^libc\.(?:so|musl-\w+\.so\.1)$/;
const MACOS_LIBRARIES = /^\/usr\/lib\/lib(?:System\.B|iconv\.2)\.dylib$/;
/** The last is the C runtime of Microsoft's compiler, which Node's installer brings. */
const WINDOWS_LIBRARIES =
  /^(?:advapi32|bcrypt|bcryptprimitives|kernel32|ntdll|userenv|ws2_32|api-ms-win-(?:core|crt)-[\w-]+|vcruntime140)\.dll$/i;

/**
 * @typedef {object} Platform
 * @property {string} target Rust's name
 * @property {string} [targetElsewhere] Rust's name of what can be built without that system's own tools
 * @property {{ os: string, cpu: string, libc?: string }} npm what npm looks at when it installs
 * @property {string} format the kind of file, as llvm-readobj names it
 * @property {RegExp} libraries those that it may need
 */

/** @type {Record<string, Platform>} */
export const PLATFORMS = {
  'linux-x64-gnu': {
    target: 'x86_64-unknown-linux-gnu',
    npm: { os: 'linux', cpu: 'x64', libc: 'glibc' },
    format: 'elf64-x86-64',
    libraries: GLIBC_LIBRARIES,
  },
  'linux-arm64-gnu': {
    target: 'aarch64-unknown-linux-gnu',
    npm: { os: 'linux', cpu: 'arm64', libc: 'glibc' },
    format: 'elf64-littleaarch64',
    libraries: GLIBC_LIBRARIES,
  },
  'linux-arm-gnueabihf': {
    target: 'armv7-unknown-linux-gnueabihf',
    npm: { os: 'linux', cpu: 'arm', libc: 'glibc' },
    format: 'elf32-littlearm',
    libraries: GLIBC_LIBRARIES,
  },
  'linux-x64-musl': {
    target: 'x86_64-unknown-linux-musl',
    npm: { os: 'linux', cpu: 'x64', libc: 'musl' },
    format: 'elf64-x86-64',
    libraries: MUSL_LIBRARIES,
  },
  'linux-arm64-musl': {
    target: 'aarch64-unknown-linux-musl',
    npm: { os: 'linux', cpu: 'arm64', libc: 'musl' },
    format: 'elf64-littleaarch64',
    libraries: MUSL_LIBRARIES,
  },
  'darwin-x64': {
    target: 'x86_64-apple-darwin',
    npm: { os: 'darwin', cpu: 'x64' },
    format: 'Mach-O 64-bit x86-64',
    libraries: MACOS_LIBRARIES,
  },
  'darwin-arm64': {
    target: 'aarch64-apple-darwin',
    npm: { os: 'darwin', cpu: 'arm64' },
    format: 'Mach-O arm64',
    libraries: MACOS_LIBRARIES,
  },
  'win32-x64-msvc': {
    target: 'x86_64-pc-windows-msvc',
    targetElsewhere: 'x86_64-pc-windows-gnullvm',
    npm: { os: 'win32', cpu: 'x64' },
    format: 'COFF-x86-64',
    libraries: WINDOWS_LIBRARIES,
  },
  'win32-arm64-msvc': {
    target: 'aarch64-pc-windows-msvc',
    targetElsewhere: 'aarch64-pc-windows-gnullvm',
    npm: { os: 'win32', cpu: 'arm64' },
    format: 'COFF-ARM64',
    libraries: WINDOWS_LIBRARIES,
  },
};

/** The file of an addon. */
export const addonFile = (platform) => `companion-segment.${platform}.node`;

/** The package of an addon. */
export const packageName = (platform) => `@companion/segment-${platform}`;
