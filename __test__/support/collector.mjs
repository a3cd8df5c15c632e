/** A bare HTTP server for what the fake Segment hides: keys, authorization and the bytes of the body. */
import { once } from 'node:events';
import http from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';

/**
 * Answers the n-th request with the n-th of `answers` (`{ status, headers, body, hang }`), then 200.
 * `requests` grows; `take(count)` waits for so many.
 */
export async function startCollector(t, answers = []) {
  const script = [...answers];
  const requests = [];
  const waiting = new Set();
  const server = http.createServer((request, response) => {
    void buffer(request).then((body) => {
      const { hang, ...answer } = script.shift() ?? {};
      requests.push(recordOf(request, body));
      for (const look of waiting) look();
      if (hang) return;
      response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers });
      response.end(answer.body ?? '{"success":true}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const take = (count) =>
    new Promise((resolve) => {
      const look = () => {
        if (requests.length < count) return;
        waiting.delete(look);
        resolve(requests);
      };
      waiting.add(look);
      look();
    });
  return { url: `http://127.0.0.1:${server.address().port}`, requests, take };
}

function recordOf(request, body) {
  const isPacked = request.headers['content-encoding'] === 'gzip';
  const text = (isPacked ? gunzipSync(body) : body).toString('utf8');
  const { method, url, headers, rawHeaders } = request;
  return { method, url, headers, rawHeaders, body, text, json: text === '' ? undefined : JSON.parse(text) };
}

/** The JSON text of each event of a batch body, byte for byte as it came. */
export function eventTexts(text) {
  const texts = [];
  const inner = text.slice('{"batch":['.length);
  let depth = 0;
  let start = 0;
  let inString = false;
  for (let at = 0; at < inner.length; at += 1) {
    const char = inner[at];
    if (inString) {
      if (char === '\\') at += 1;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === '{' || char === '[') {
      if (depth === 0) start = at;
      depth += 1;
    } else if (char === '}' || char === ']') {
      depth -= 1;
      if (depth < 0) return texts;
      if (depth === 0) texts.push(inner.slice(start, at + 1));
    }
  }
  return texts;
}
