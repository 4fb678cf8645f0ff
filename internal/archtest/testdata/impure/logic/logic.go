package logic

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	clock "time"
)

var (
	_ netip.Addr
	_ net.Addr
	_ = os.Args
	_ = rand.Int
)

func init() {
	_ = clock.Second
	_ = clock.Now()
	clock.Sleep(clock.Second)
}
