package bench

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processCPU is the processor time of another process, in nanoseconds of its threads; false when the kernel does not say.
func processCPU(pid int) (time.Duration, bool) {
	files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "schedstat"))
	if err != nil || len(files) == 0 {
		return 0, false
	}
	total := time.Duration(0)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // a thread that ended
		}
		first, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, false
		}
		total += time.Duration(n)
	}
	return total, true
}

// userHZ is the unit of /proc/stat: ticks in a second, whatever the kernel counts in.
const userHZ = 100

// machineCPU is the time that all processors together have worked, and that they could have.
func machineCPU() (busy, all time.Duration, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, false
	}
	return parseMachineCPU(string(b))
}

// parseMachineCPU reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
func parseMachineCPU(stat string) (busy, all time.Duration, ok bool) {
	line, _, _ := strings.Cut(stat, "\n")
	f := strings.Fields(line)
	const times = 8
	if len(f) < 1+times || f[0] != "cpu" {
		return 0, 0, false
	}
	for i, s := range f[1 : 1+times] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, 0, false
		}
		t := time.Duration(n) * (time.Second / userHZ)
		if all += t; i != 3 && i != 4 { // idle, iowait
			busy += t
		}
	}
	return busy, all, true
}

// processMemory is the resident memory of another process, in bytes.
func processMemory(pid int) (int64, bool) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0, false
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
