// The HTTPS server of the internet: HTTP/1.1 and HTTP/2, and git's own CGI below /git/.
//
//     node https.mjs KEY CERTIFICATE PORT REPOSITORIES
import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { spawn } from 'node:child_process';

const [key, certificate, port, repositories] = process.argv.slice(2);

const server = createSecureServer(
  { key: readFileSync(key), cert: readFileSync(certificate), allowHTTP1: true },
  (request, response) => {
    const url = new URL(request.url, 'https://any');
    if (url.pathname.startsWith('/git/')) return git(url, request, response);
    const host = request.headers[':authority'] ?? request.headers.host;
    response.setHeader('content-type', 'text/plain');
    if (url.pathname === '/bytes') return response.end('x'.repeat(Number(url.searchParams.get('count'))));
    response.end(`hello from ${host} by HTTP/${request.httpVersion}, asked for ${request.socket.servername}\n`);
  },
);

// RFC 3875, as far as `git http-backend` needs it
function git(url, request, response) {
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: repositories,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: url.pathname.slice('/git'.length),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: request.headers['git-protocol'] ?? '',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  request.pipe(child.stdin);
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  child.stdout.on('end', () => {
    const all = Buffer.concat(chunks);
    const end = all.indexOf('\r\n\r\n');
    let status = 200;
    for (const line of all.subarray(0, end).toString('latin1').split('\r\n')) {
      const [name, value] = line.split(/: */, 2);
      if (name.toLowerCase() === 'status') status = Number(value.split(' ')[0]);
      else response.setHeader(name, value);
    }
    response.statusCode = status;
    response.end(all.subarray(end + 4));
  });
}

server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
