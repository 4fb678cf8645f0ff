package adapter

import (
	"C"
	"log"
	"math/rand"
	"net"
	"testing"
	"time"
)

var (
	_ log.Logger
	_ rand.Source
	_ net.Addr
	_ testing.TB
	_ = time.Now
)
