// For as many seconds of CPU time as the argument says: goroutines whose work is done on other stacks, which is
// where the runtime copies and allocates and C runs, and in a function that keeps no frame.
package main

/*
int called_back(int count);
static long burn(long count) {
	volatile long sum = 0;
	for (long i = 0; i < count; i++)
		sum += i % 7;
	return sum;
}
static int call_back(int count) { return called_back(count) + 1; }
*/
import "C"

import (
	"os"
	"strconv"
	"syscall"
)

//go:noinline
//go:nosplit
func spin(count int) int {
	sum := 0
	for i := 0; i < count; i++ {
		sum += i % 7
	}
	return sum
}

//go:noinline
func deep(level int) int {
	if level == 0 {
		return spin(200000) + 1
	}
	return deep(level-1) + 1
}

//go:noinline
func grow(level int) int {
	var room [8192]byte
	room[level] = byte(level)
	if level == 0 {
		return int(room[1])
	}
	return grow(level-1) + int(room[level])
}

//export called_back
func called_back(count C.int) C.int { return C.int(spin(int(count))) }

var kept [][]byte

//go:noinline
func allocate() {
	kept = kept[:0]
	for i := 0; i < 64; i++ {
		kept = append(kept, make([]byte, 40000))
	}
}

//go:noinline
func root(done chan int) {
	done <- deep(20) + grow(200)
}

func used() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func main() {
	seconds, _ := strconv.ParseFloat(os.Args[1], 64)
	done, sum := make(chan int), 0
	for used() < seconds {
		go root(done)
		sum += <-done + int(C.burn(100000)) + int(C.call_back(200000))
		allocate()
	}
	os.Exit(sum & 0)
}
