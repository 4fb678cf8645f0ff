//go:build !linux

package bench

import "time"

// Processor time and memory of other processes are only known on Linux.

func ownCPU() time.Duration { return 0 }

func processCPU(int) (time.Duration, bool) { return 0, false }

func machineCPU() (busy, all time.Duration, ok bool) { return 0, 0, false }

func processMemory(int) (int64, bool) { return 0, false }
