// Prices orders and plans their ways for so many seconds. The same in five languages: see tests/bench/jit.py.
function discount(n) { return n < 2 ? n : discount(n - 1) + discount(n - 2); }
function price(order) { let sum = 0; for (let i = 0; i < 3; i++) sum += discount(14 + order % 3); return sum; }
function distance(n) { let sum = 0; for (let i = 1; i < n; i++) sum += Math.sqrt(i) % 7; return sum; }
function route(order) { let sum = 0; for (let i = 0; i < 8; i++) sum += distance(600 + order % 9); return sum; }
function checkout(order) { return price(order) + route(order); }
const end = Date.now() + 1000 * Number(process.argv[2]);
let total = 0;
for (let order = 0; Date.now() < end; order++) total += checkout(order);
console.log(total);
