// Calls itself, loops over numbers and writes JSON for so many seconds.
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
function total(items) { let sum = 0; for (const each of items) sum += Math.sqrt(each); return sum; }
const items = Array.from({ length: 5000 }, (_, index) => index);
const end = Date.now() + 1000 * Number(process.argv[2]);
let sum = 0;
while (Date.now() < end) {
  sum += fib(22);
  for (let round = 0; round < 20; round++) sum += total(items);
  sum += JSON.stringify(items).length;
}
console.log(sum);
