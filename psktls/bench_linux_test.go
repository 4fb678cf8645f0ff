package psktls

import (
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
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
					_, err := c.serve(conn)
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
		return // an ordinary run of the tests
	}
	for _, c := range handshakes(t) {
		if c.name != name {
			continue
		}
		hold, _ := strconv.Atoi(os.Getenv("PSKTLS_BENCH_HOLD"))
		var held []net.Conn
		defer runtime.KeepAlive(&held)
		for {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			if err := c.client(conn); err != nil {
				return
			}
			if hold > 1 {
				// Left open, and referred to, or a finalizer would close it.
				// This process is killed in the end.
				hold--
				held = append(held, conn)
				continue
			}
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}
}

// BenchmarkIdleMemory reports the live heap and the stacks that one idle server
// connection costs this process after a collection, with a goroutine blocked in
// Read on 512 octets; the clients are in another process. The kernel's socket
// buffers are not in it.
func BenchmarkIdleMemory(b *testing.B) {
	const connections = 2000
	for _, c := range handshakes(b) {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(idleMemory(b, c, connections)/1024, "KiB/conn")
			}
		})
	}
}

func idleMemory(b *testing.B, c handshakeCase, connections int) float64 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestBenchClients$")
	cmd.Env = append(os.Environ(), "PSKTLS_BENCH_CLIENT="+c.name, "PSKTLS_BENCH_ADDR="+l.Addr().String(),
		"PSKTLS_BENCH_HOLD="+strconv.Itoa(connections))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	before := inUse()
	ready, ended := make(chan struct{}), make(chan struct{})
	for range connections {
		conn, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			idle, err := c.serve(conn)
			ready <- struct{}{}
			if err == nil {
				_, _ = idle.Read(make([]byte, 512))
			}
			_ = conn.Close()
			ended <- struct{}{}
		}()
	}
	for range connections {
		<-ready
	}
	after := inUse()
	_ = l.Close()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for range connections {
		<-ended
	}
	return (after - before) / float64(connections)
}

// inUse gives the live heap and the stacks of this process in octets.
func inUse() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the first may leave what finalizers held
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
