// A server of git repositories: git's own http-backend behind HTTP. Those below /private/ are for who sends the token.
//
//     node git-server.mjs DIRECTORY PORT
//
// DIRECTORY/token holds the token; DIRECTORY/seen gets a line for each token that is sent: to which host, and which.
// The content of /private/held.git is sent when DIRECTORY/go is there; DIRECTORY/asked is, when it was asked for.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';

const [directory, port] = process.argv.slice(2);
const backend = `${execFileSync('git', ['--exec-path'], { encoding: 'utf8' }).trim()}/git-http-backend`;
const token = fs.readFileSync(`${directory}/token`, 'utf8');
const allowed = `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;

function gate() {
  fs.writeFileSync(`${directory}/asked`, '');
  return new Promise((resolve) => {
    const watcher = fs.watch(directory, () => open());
    const open = () => fs.existsSync(`${directory}/go`) && (watcher.close(), resolve());
    open();
  });
}

http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://server');
  const { authorization, host } = request.headers;
  if (authorization) fs.appendFileSync(`${directory}/seen`, `${host} ${authorization === allowed}\n`);
  if (url.pathname.startsWith('/private/') && authorization !== allowed) {
    response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="git"' });
    response.end();
    return;
  }
  if (url.pathname === '/private/held.git/git-upload-pack') await gate();
  const git = spawn(backend, [], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH, GIT_PROJECT_ROOT: directory, GIT_HTTP_EXPORT_ALL: '1', REMOTE_USER: 'somebody', REMOTE_ADDR: 'somewhere',
      GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*',
      PATH_INFO: decodeURIComponent(url.pathname), QUERY_STRING: url.search.slice(1), REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'] ?? '', HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: request.headers['git-protocol'] ?? '',
      ...(request.headers['content-length'] && { CONTENT_LENGTH: request.headers['content-length'] }),
    },
  });
  request.pipe(git.stdin).on('error', () => {}); // it need not read all
  const pieces = [];
  git.stdout.on('data', (piece) => pieces.push(piece));
  git.stdout.on('end', () => {
    const answer = Buffer.concat(pieces);
    const end = answer.indexOf('\r\n\r\n');
    const headers = Object.fromEntries(answer.subarray(0, end).toString().split('\r\n').map((line) => line.split(/: */, 2)));
    const { Status: status = '200', ...others } = headers;
    response.writeHead(Number.parseInt(status, 10), others);
    response.end(answer.subarray(end + 4));
  });
}).listen(Number(port), '0.0.0.0');
