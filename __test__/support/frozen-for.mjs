/** `node frozen-for.mjs 60`: functions stand still for so many seconds, and say what arrived at Segment. */
import { accountOf, HAPPENINGS, identifying, invokeAroundFreeze, startScene } from './frozen.mjs';
import { created, idsOf, snsEvent } from './lambda.mjs';

const EVENTS = 20;
const [seconds = 60] = process.argv.slice(2).map(Number);
if (!(seconds >= 0)) throw new Error('usage: node frozen-for.mjs <seconds>');

const numbers = Array.from({ length: EVENTS }, (_, index) => index + 1);
const notifications = numbers.map((number) => created(number));
const events = [
  snsEvent(...notifications.slice(0, EVENTS / 2)),
  snsEvent(...notifications.slice(EVENTS / 2)),
];

async function run(what, happen, options) {
  const scene = await startScene({ make: identifying, ...options });
  await invokeAroundFreeze(scene, events, happen, seconds);
  const { events: count, requests, attempts, connections, lost } = accountOf(scene, idsOf(1, EVENTS));
  await scene.close();
  const counts = `${count} events, ${requests} requests, ${attempts} attempts, ${connections} connections`;
  console.log(`${what}: ${counts}, lost ${lost}`);
  return lost;
}

// Shorter than the default, a standstill would leave the connections in use.
const options = seconds < 4 ? { maxIdle: 0 } : {};
console.log(`frozen for ${seconds} s`);
const runs = Object.entries(HAPPENINGS).map(([what, happen]) => run(`connections ${what}`, happen, options));
// What it is all about: without it, a request is lost first. After 30 s the pool lets go of connections by itself.
if (seconds < 30) {
  const what = 'connections swallow what they are sent, and are kept';
  runs.push(run(what, HAPPENINGS['swallow what they are sent'], { maxIdle: 1e9 }));
}
const lost = await Promise.all(runs);
process.exitCode = lost.every((count) => count === 0) ? 0 : 1;
