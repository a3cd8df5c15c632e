// Words that have no place in what is committed. Written with a class here and there, so that this file passes.
import { expectNothing, textFiles } from './files.mjs';

/** @type {[pattern: RegExp, why: string][]} */
const EVERYWHERE = [
  [/\bTO[D]O\b|\bFIX[M]E\b|\bX[X]X\b/, 'finish it, or leave it out'],
  [/\/wor[k]\/|\/roo[t]\/|\/User[s]\/\w/, 'a path of one machine'],
];

/** @type {[pattern: RegExp, why: string][]} */
const IN_TESTS = [
  [
    /\b(?:test|it|describe|suite)\.(?:only|skip|todo)\b/,
    'a test that is left out, or that leaves out others',
  ],
  [/\b(?:only|skip|todo): *(?:true|['"`])/, 'a test that is left out, or that leaves out others'],
  [/#\[ignor[e]/, 'a test that is left out'],
];

export async function forbiddenWords() {
  const files = await textFiles((path) => path !== 'package-lock.json' && path !== 'Cargo.lock');
  expectNothing(files, (line, { path }) => {
    const isTest = /^(?:__test__|tests|features|src)\//.test(path);
    const [, why] =
      [...EVERYWHERE, ...(isTest ? IN_TESTS : [])].find(([pattern]) => pattern.test(line)) ?? [];
    return why === undefined ? undefined : `${why}: ${line.trim().slice(0, 80)}`;
  });
}
