package logic

import (
	"net"
	"time"
)

var (
	_ net.Addr
	_ = time.Now
)
