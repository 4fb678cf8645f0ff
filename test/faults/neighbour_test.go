package faults

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// neighbourEnv has the address of the broker in a process that is the idle neighbour.
const neighbourEnv = "SEALMQ_FAULTS_NEIGHBOUR"

// neighbour is an idle client that pings. It is a process of its own: within the one that makes the load its pings would
// also wait for the load's goroutines, and say nothing about the broker.
type neighbour struct {
	t      testing.TB
	cmd    *exec.Cmd
	input  io.WriteCloser // its end stops the process
	output io.ReadCloser
	errors bytes.Buffer
}

// startNeighbour returns when the neighbour is connected.
func startNeighbour(t testing.TB, addr string) *neighbour {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n := &neighbour{t: t, cmd: exec.Command(self)}
	n.cmd.Env = append(os.Environ(), neighbourEnv+"="+addr)
	n.cmd.Stderr = &n.errors
	n.input, err = n.cmd.StdinPipe()
	if err == nil {
		n.output, err = n.cmd.StdoutPipe()
	}
	if err == nil {
		err = n.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(n.output, make([]byte, 1)); err != nil {
		_ = n.cmd.Wait()
		t.Fatalf("the idle neighbour does not start: %v: %s", err, n.errors.Bytes())
	}
	return n
}

// stop ends the neighbour and returns how long each of its pings took.
func (n *neighbour) stop() []time.Duration {
	n.t.Helper()
	_ = n.input.Close()
	raw, err := io.ReadAll(n.output)
	if err := errors.Join(err, n.cmd.Wait()); err != nil {
		n.t.Errorf("idle neighbour: %v: %s", err, n.errors.Bytes())
	}
	took := make([]time.Duration, len(raw)/8)
	for i := range took {
		took[i] = time.Duration(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	return took
}

// beNeighbour is the neighbour's process: it connects, writes a byte, sends PINGREQ every 5 ms until in ends, and writes
// how many nanoseconds each answer took.
func beNeighbour(addr string, in io.Reader, out io.Writer) error {
	conn, err := greet(addr, "idle", mqtt.V311)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := out.Write([]byte{0}); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var took []byte
	answer := make([]byte, 2)
	for {
		select {
		case <-ended:
			_, err := out.Write(took)
			return err
		case <-tick.C:
		}
		begin := time.Now()
		_ = conn.SetDeadline(begin.Add(patience))
		if _, err := conn.Write([]byte{0xC0, 0}); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			return err
		}
		took = binary.LittleEndian.AppendUint64(took, uint64(time.Since(begin)))
	}
}

// greet opens a connection as far as CONNACK. Nobody reads it after that.
func greet(addr, id string, v mqtt.Version) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	p := mqtt.Connect{ProtocolVersion: v, CleanStart: true, ClientID: id, KeepAlive: 5}
	frame, err := p.Append(nil, v)
	if err == nil {
		_, err = conn.Write(frame)
	}
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 4))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect %s: %w", id, err), conn.Close())
	}
	return conn, nil
}
