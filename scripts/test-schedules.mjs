// npm run test:schedules [-- <how many>]: the engine's threads in orders by chance (Rust, shuttle). A build of its own, as
// mutexes and condition variables are those of the scheduler.
import { spawnSync } from 'node:child_process';

const [schedules = '500'] = process.argv.slice(2);
const args = [
  'test',
  '--locked',
  '--features',
  'testing',
  '--test',
  'schedules',
  '--target-dir',
  'target/schedules',
];
const { status } = spawnSync('cargo', args, {
  stdio: 'inherit',
  env: { ...process.env, RUSTFLAGS: `${process.env.RUSTFLAGS ?? ''} --cfg shuttle`, SCHEDULES: schedules },
});
process.exitCode = status ?? 1;
