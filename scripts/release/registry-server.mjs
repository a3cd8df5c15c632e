/**
 * A Verdaccio on a free port of loopback that holds what is published to it and asks nobody else.
 *
 *   node registry-server.mjs <folder of Verdaccio> <folder for its storage>
 *
 * Prints its address; ends with its standard input.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [, , verdaccio, storage] = process.argv;
const { runServer } = createRequire(join(verdaccio, 'package.json'))(verdaccio);

const everybody = { access: '$all', publish: '$all', unpublish: '$all' };
const server = await runServer({
  storage,
  self_path: storage,
  auth: { htpasswd: { file: join(storage, 'users') } },
  uplinks: {},
  packages: { '**': everybody },
  max_body_size: '50mb',
  log: { type: 'stdout', format: 'json', level: 'fatal' },
  web: { enable: false },
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/`));
process.stdin.resume().once('end', () => process.exit());
