// The job of floor.c's `spawn`, as Go's standard library does it: floor_go spawn N PROGRAM
package main

import (
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"time"
)

func main() {
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	times := make([]int, count)
	for i := range times {
		begun := time.Now()
		if err := exec.Command(os.Args[3]).Run(); err != nil {
			panic(err)
		}
		times[i] = int(time.Since(begun).Nanoseconds())
	}
	sort.Ints(times)
	fmt.Println(times[count/2])
}
