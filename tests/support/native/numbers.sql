with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < 3000000)
select sum(n * n % 7), count(distinct n % 1000) from numbers;
with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < 600000)
select avg(length(hex(n))) from numbers;
