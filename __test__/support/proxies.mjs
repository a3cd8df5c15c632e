/** An HTTP proxy: it passes requests of plain http on, and opens tunnels for https. */
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';

/**
 * Starts one that is gone with the test. `requests` has the target and the credentials of each request, `tunnels` those of
 * each tunnel.
 */
export async function startProxy(t) {
  const requests = [];
  const tunnels = [];
  const sockets = new Set();
  const remember = (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  };
  const server = http.createServer((request, response) => {
    requests.push({ target: request.url, credentials: credentialsOf(request) });
    const { 'proxy-authorization': _credentials, ...headers } = request.headers;
    const onward = http.request(request.url, { method: request.method, headers, agent: false });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.writeHead(502).end());
    request.pipe(onward);
  });
  server.on('connect', (request, socket) => {
    tunnels.push({ target: request.url, credentials: credentialsOf(request) });
    const [host, port] = request.url.split(':');
    const onward = net.connect(port, host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    for (const end of [socket, onward]) remember(end);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address();
  return { url: `http://127.0.0.1:${port}`, address: `127.0.0.1:${port}`, requests, tunnels };
}

/** `user:password` */
function credentialsOf({ headers }) {
  const [, encoded] = headers['proxy-authorization']?.split(' ') ?? [];
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString();
}
