// Fills, sorts and sums vectors of a hash map for four seconds.
use std::collections::HashMap;
use std::time::Instant;

fn work(count: u64) -> u64 {
    let mut buckets: HashMap<u64, Vec<u64>> = HashMap::new();
    for each in 0..count {
        buckets.entry(each % 1000).or_default().push(each * each);
    }
    let mut sum = 0;
    for bucket in buckets.values_mut() {
        bucket.sort_by(|a, b| b.cmp(a));
        sum += bucket.iter().map(|each| each % 7).sum::<u64>();
    }
    sum
}

fn main() {
    let began = Instant::now();
    let mut sum: u64 = 0;
    while began.elapsed().as_secs() < 4 {
        sum = sum.wrapping_add(work(200_000));
    }
    println!("{sum}");
}
