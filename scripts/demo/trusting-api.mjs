/** The application as it is, but for the SNS that it trusts: one on this machine, with an authority of its own. */
import { bootstrap } from '../../examples/companion-api/dist/bootstrap.js';

const { authority, url } = JSON.parse(process.argv[2]);

await bootstrap({
  certificateAuthorities: [authority],
  fetchBytes: async (wanted) => {
    const { pathname, search } = new URL(wanted);
    const response = await fetch(url + pathname + search);
    if (!response.ok) throw new Error(`The answer was ${response.status}.`);
    return response.text();
  },
});
