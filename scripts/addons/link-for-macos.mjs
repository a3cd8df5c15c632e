#!/usr/bin/env node
/**
 * Links an addon for macOS where there is no macOS: with the linker that comes with Rust, and zig's description of
 * Apple's system library. zig's own linker exports every function of the engine, and so keeps the third that nobody calls.
 *
 * rustc calls it as if it were that linker. LLD and SYSTEM_LIBRARY say where both are.
 */
import { spawnSync } from 'node:child_process';

const { LLD, SYSTEM_LIBRARY } = process.env;
const [, , ...given] = process.argv;
// napi-build speaks to a C compiler: a bare -Wl is none of the linker's words.
const options = given.filter((word, index) => {
  return word !== '-Wl' && word !== '-flavor' && given[index - 1] !== '-flavor';
});
const ours = [
  '-L',
  SYSTEM_LIBRARY,
  '-dead_strip',
  '-dead_strip_dylibs',
  '-install_name',
  '@rpath/companion-segment.node',
];
const { status } = spawnSync(LLD, [...options, ...ours], { stdio: 'inherit' });
process.exitCode = status ?? 1;
