// Fills, sorts and sums slices of a map for four seconds, in two goroutines.
package main

import (
	"fmt"
	"sort"
	"time"
)

func work(count int) int {
	buckets := map[int][]int{}
	for each := 0; each < count; each++ {
		buckets[each%1000] = append(buckets[each%1000], each*each)
	}
	sum := 0
	for _, bucket := range buckets {
		sort.Slice(bucket, func(i, j int) bool { return bucket[i] > bucket[j] })
		for _, each := range bucket {
			sum += each % 7
		}
	}
	return sum
}

func main() {
	sums := make(chan int)
	for i := 0; i < 2; i++ {
		go func() {
			sum := 0
			for began := time.Now(); time.Since(began) < 4*time.Second; {
				sum += work(100000)
			}
			sums <- sum
		}()
	}
	fmt.Println(<-sums + <-sums)
}
