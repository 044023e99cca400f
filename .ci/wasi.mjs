// Runs a WASI program, such as a test harness, in Node; its exit code is the program's.
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const [path, ...rest] = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args: [path, ...rest], env: process.env, preopens: { '/': '/' }, returnOnExit: true });
// Debian's wasi-libc has no threads; std names these two and calls neither, for it starts none.
const env = { pthread_join: () => 58, pthread_detach: () => 58 };
const { instance } = await WebAssembly.instantiate(readFileSync(path), { ...wasi.getImportObject(), env });
process.exitCode = wasi.start(instance);
