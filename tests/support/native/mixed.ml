(* Recurses, sorts arrays, fills a table and raises exceptions for four seconds of CPU time. *)

exception Found of int

let rec fib n = if n < 2 then n else fib (n - 1) + fib (n - 2)

let sorted count =
  let numbers = Array.init count (fun i -> i * 7919 mod 10007) in
  Array.stable_sort compare numbers;
  numbers.(count / 2)

let counted count =
  let table = Hashtbl.create 16 in
  for each = 0 to count do
    Hashtbl.replace table (string_of_int (each mod 1000)) each
  done;
  Hashtbl.length table

let raised count =
  let rec look depth = if depth = 0 then raise (Found count) else 1 + look (depth - 1) in
  try look 100 with Found each -> each

let () =
  let sum = ref 0 in
  while Sys.time () < 4.0 do
    sum := !sum + fib 22 + sorted 5000 + counted 5000;
    for each = 0 to 200 do
      sum := !sum + raised each
    done
  done;
  exit (!sum land 0)
