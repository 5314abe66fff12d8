// An upstream of Node: it answers with the resources that it could route a request to, in hex, by
// line: the pathname of WHATWG's URL, the same decoded, and that with its dot segments resolved.
import http from 'node:http';
import path from 'node:path';

const hex = (s) => Buffer.from(s, 'utf8').toString('hex');

const server = http.createServer((req, res) => {
  const readings = new Set();
  try {
    const { pathname } = new URL(req.url, 'http://upstream.test');
    readings.add(pathname);
    const decoded = decodeURIComponent(pathname);
    readings.add(decoded);
    readings.add(path.posix.normalize(decoded));
  } catch {
    // What it cannot read it does not serve.
  }
  res.end([...readings].map(hex).join('\n'));
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`));
