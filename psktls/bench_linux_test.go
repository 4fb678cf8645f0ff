package psktls

import (
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// BenchmarkServerCPU measures the CPU time of the serving process alone, per
// handshake: the clients run in a process of their own. The system calls of the
// loopback connection count, accept and close included.
func BenchmarkServerCPU(b *testing.B) {
	for _, c := range handshakes(b) {
		b.Run(c.name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			cmd := exec.Command(os.Args[0], "-test.run=^TestBenchClients$")
			cmd.Env = append(os.Environ(), "PSKTLS_BENCH_CLIENT="+c.name, "PSKTLS_BENCH_ADDR="+l.Addr().String())
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			defer func() {
				_ = l.Close()
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
			serve := func() {
				conn, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				// A goroutine for each connection, as in a server: its stack
				// has to grow for the handshake.
				done := make(chan error)
				go func() {
					err := c.server(conn)
					_ = conn.Close()
					done <- err
				}()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			serve()
			start := cpuTime()
			n := 0
			for b.Loop() {
				serve()
				n++
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(n)/1e3, "server-cpu-us/op")
		})
	}
}

func cpuTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// TestBenchClients is the other process of BenchmarkServerCPU.
func TestBenchClients(t *testing.T) {
	name, addr := os.Getenv("PSKTLS_BENCH_CLIENT"), os.Getenv("PSKTLS_BENCH_ADDR")
	if name == "" {
		t.Skip("only as the client process of BenchmarkServerCPU")
	}
	for _, c := range handshakes(t) {
		if c.name != name {
			continue
		}
		for {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			if err := c.client(conn); err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}
}

// BenchmarkIdleMemory reports the heap and stack that one idle server connection
// retains, with its serving goroutine blocked in Read.
func BenchmarkIdleMemory(b *testing.B) {
	const connections = 500
	for _, v := range []uint16{VersionTLS12, VersionTLS13} {
		b.Run(VersionName(v), func(b *testing.B) {
			for b.Loop() {
				before := inUse()
				stop := make(chan struct{}, connections)
				pairs := make([]*pair, connections)
				for i := range pairs {
					server, client := only(v)
					pairs[i] = mustConnect(b, server, client)
					go func() {
						_, _ = pairs[i].server.Read(make([]byte, 512))
						stop <- struct{}{}
					}()
				}
				time.Sleep(50 * time.Millisecond) // let the readers block; nothing depends on it
				b.ReportMetric(float64(inUse()-before)/connections/2, "B/conn")
				for _, p := range pairs {
					_ = p.server.NetConn().Close()
					<-stop
				}
			}
		})
	}
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
