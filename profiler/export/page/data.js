/* Unpacks the data in the page: base64 of gzip of a head and columns, as html_data.py lays them out. */

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/* The numbers of a column of `width` planes of `length` bytes that begin at `at`. */
function readColumn(bytes, at, width, length) {
  if (width === 1) return bytes.subarray(at, at + length);
  const numbers = new (width === 2 ? Uint16Array : width === 4 ? Uint32Array : Float64Array)(length);
  for (let plane = width - 1; plane >= 0; plane--) {
    const from = at + plane * length;
    for (let i = 0; i < length; i++) numbers[i] = numbers[i] * 256 + bytes[from + i];
  }
  return numbers;
}

/* The head, with `column`: the columns by their names. */
async function unpack(base64) {
  const bytes = await gunzip(bytesOf(base64));
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  head.column = {};
  let at = 4 + length;
  for (const [name, width, count] of head.columns) {
    head.column[name] = readColumn(bytes, at, width, count);
    at += width * count;
  }
  return head;
}
