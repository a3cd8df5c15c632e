// A process that takes over several spools at once and delivers what is in them.
import { createClient, isEmpty } from './clients.mjs';

const { clients } = JSON.parse(process.argv[2]);

for (const options of clients) {
  const client = createClient(options);
  while (!isEmpty(client.stats())) await new Promise((resolve) => setTimeout(resolve, 5));
  await client.close({ timeout: 60_000 });
}
