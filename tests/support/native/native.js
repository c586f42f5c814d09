// Compresses, hashes, and writes and reads JSON, all of it in native code, for so many seconds.
const { createHash } = require("crypto");
const { deflateSync, inflateSync } = require("zlib");
const rows = Array.from({ length: 2000 }, (_, index) => ({ key: index, value: String(index).repeat(3) }));
const end = Date.now() + 1000 * Number(process.argv[2]);
let total = 0;
while (Date.now() < end) {
  const text = JSON.stringify(rows);
  total += inflateSync(deflateSync(text)).length + JSON.parse(text).length;
  total += createHash("sha256").update(text).digest()[0] + text.replace(/\d+/g, "n").length;
  total += text.split(",").sort().length;
}
console.log(total);
