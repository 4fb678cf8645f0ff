//go:build !linux

package load

import (
	"errors"
	"net"
	"time"
)

type usage struct {
	cpu      time.Duration
	resident int64
}

func processUsage(int) (usage, error) {
	return usage{}, errors.New("what another process takes is known on Linux only")
}

func ownCPU() time.Duration { return 0 }

func sleepUntil(at time.Time) { time.Sleep(time.Until(at)) }

func from(d *net.Dialer, ip net.IP) { d.LocalAddr = &net.TCPAddr{IP: ip} }
