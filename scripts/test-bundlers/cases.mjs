// Everything that is tried: one tool in one way, which throws what is wrong.
import { cases as bundlers } from './cases/bundlers.mjs';
import { cases as executable } from './cases/executable.mjs';
import { cases as nest } from './cases/nest.mjs';
import { cases as next } from './cases/next.mjs';
import { cases as nitro } from './cases/nitro.mjs';
import { cases as platforms } from './cases/platforms.mjs';
import { cases as types } from './cases/types.mjs';
import { cases as vercel } from './cases/vercel.mjs';
import { cases as workspaces } from './cases/workspaces.mjs';

/**
 * @typedef {object} Case
 * @property {string} tool
 * @property {string} version
 * @property {string} mode
 * @property {boolean} [isShort] part of `npm test`
 * @property {() => Promise<void>} run
 */

/** @type {Case[]} */
export const allCases = [
  ...bundlers,
  ...platforms,
  ...types,
  ...vercel,
  ...executable,
  ...nest,
  ...next,
  ...nitro,
  ...workspaces,
];
