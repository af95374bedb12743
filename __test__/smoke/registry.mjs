// A registry on the loopback interface that serves a folder of tarballs, so that the packages are installed the way a
// user gets them: by name, npm choosing the platform's binary by itself. Platforms named by the main package without a
// tarball in the folder are listed too; whoever asks for their tarball gets a 404.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

// The manifest inside a tarball, read without a tool: blocks of 512 bytes, a header before each file.
function manifestOf(tarball) {
  const tar = gunzipSync(tarball);
  for (let at = 0; tar[at]; ) {
    const name = tar.toString('latin1', at, tar.indexOf(0, at));
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 135), 8);
    if (name === 'package/package.json') return JSON.parse(tar.toString('utf8', at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new Error('no package.json in the tarball');
}

/** Serves `folder`; `platforms` are manifests to list besides. Resolves to `{ url, requested, close }`. */
export async function serve(folder, platforms) {
  const tarballs = new Map();
  const manifests = new Map(platforms.map((manifest) => [manifest.name, manifest]));
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.tgz'))) {
    const tarball = readFileSync(join(folder, file));
    const manifest = manifestOf(tarball);
    tarballs.set(manifest.name, tarball);
    manifests.set(manifest.name, manifest);
  }

  const requested = [];
  const server = createServer((request, response) => {
    const [, name, part] = request.url.split('/');
    requested.push(request.url);
    const tarball = tarballs.get(name);
    const manifest = manifests.get(name);
    if (part === 'tarball' && tarball) {
      response.end(tarball);
    } else if (!part && manifest) {
      const hash = (algorithm, encoding) => createHash(algorithm).update(tarball ?? '').digest(encoding);
      const dist = { tarball: `${url}/${name}/tarball`, shasum: hash('sha1', 'hex'), integrity: `sha512-${hash('sha512', 'base64')}` };
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({
        name, 'dist-tags': { latest: manifest.version }, versions: { [manifest.version]: { ...manifest, dist } },
      }));
    } else {
      response.statusCode = 404;
      response.end('{}');
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  const close = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return { url, requested, close };
}
